"""Keras's attention of several heads as torch's own operations, so that what a token takes from another can be seen."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

_PARTS = ("query", "key", "value", "output")


class Attention(nn.Module):
    """softmax(q kᵀ / √d) v, several heads side by side, `b n K` → `b n K`."""

    def __init__(self, heads: int, linear: dict[str, nn.Linear]) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (linear[part] for part in _PARTS)

    def forward(self, asking: torch.Tensor, values: torch.Tensor, keys: torch.Tensor | None = None) -> torch.Tensor:
        """What `asking` takes of `values`; in Keras's order, the keys last."""
        keys = values if keys is None else keys
        parts = (self.query(asking), self.key(keys), self.value(values))
        heads = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        taken = functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        found: torch.Tensor = self.output(taken)
        return found


def attention(layer: Any, ranks: list[int]) -> nn.Module | None:
    """The module of a `MultiHeadAttention` over tokens, or None where it does more: gates, windows, other axes."""
    more = (getattr(layer, word, None) for word in ("_use_gate", "_sliding_window"))
    if set(ranks) != {3} or any(more) or layer.attention_axes not in (None, (1,)):
        return None
    linear = {part: _linear(getattr(layer, f"_{part}_dense", None), part) for part in _PARTS}
    known = {part: one for part, one in linear.items() if one is not None}
    return Attention(layer.num_heads, known) if len(known) == len(_PARTS) else None


def _linear(dense: Any, part: str) -> nn.Linear | None:
    """The layer from tokens to heads, whose kernel is K × heads × d, or back; its weights are views of Keras's own."""
    changed = getattr(dense, "lora_enabled", False) or getattr(dense, "quantization_mode", None)
    if dense is None or changed or dense.kernel.value.ndim != 3:
        return None
    kernel = dense.kernel.value.detach().flatten(*((0, 1) if part == "output" else (1, 2))).T
    with torch.device("meta"):
        linear = nn.Linear(kernel.shape[1], kernel.shape[0], bias=dense.bias is not None)
    linear.weight = nn.Parameter(kernel, requires_grad=False)
    if dense.bias is not None:
        linear.bias = nn.Parameter(dense.bias.value.detach().flatten(), requires_grad=False)
    return linear
