"""Attention of transformers: the matrices A = softmax(q kᵀ), found in what a network computed, and how tokens lie.

Nothing in a network is changed, and no layer has to be named. While it runs inside `explicit`, torch's fused attention
is computed step by step; afterwards the softmax of every attention stands in autograd's record (`models/graph.py`) with
its answer, whoever called it and however it was written: torchvision, timm and Hugging Face, fused or eager.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.autograd.graph import GradientEdge
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import CheckpointError

from sightline.errors import NotSupportedError
from sightline.models.graph import name_of, on_the_way
from sightline.models.layers import Layer, layer_of
from sightline.models.survey import Survey

_SOFTMAX = ("Softmax", "SafeSoftmax")
_MINUS_ONE = 2**64 - 1  # how autograd's record writes the axis -1
WAY_OUT = "use grad-cam, attn-lrp or integrated-gradients"


@dataclass(frozen=True, eq=False)
class Attention:
    """One attention of one pass.

    Attributes:
        weights: `b h n n` float32: how much each token (row) takes from each token (column); rows sum to 1.
        edge: where autograd answers with ∂score/∂weights.
    """

    weights: torch.Tensor
    edge: GradientEdge

    def like(self, gradient: torch.Tensor) -> torch.Tensor:
        """A gradient at the edge in the shape of the weights, float32."""
        return gradient.reshape(self.weights.shape).float()


class _Explicit(TorchFunctionMode):
    """Takes over the fused attentions that a network asks torch for."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is functional.scaled_dot_product_attention:
            return attend(*args, **kwargs)
        if function is functional.multi_head_attention_forward:
            answer, weights = function(*args, **kwargs | {"need_weights": True})
            return answer, weights if kwargs.get("need_weights", True) else None
        return function(*args, **kwargs)


@contextmanager
def explicit() -> Iterator[None]:
    """Attention that runs inside the block is computed step by step, so that autograd records its softmax."""
    with _Explicit():
        yield


def attentions(score: torch.Tensor, leaf: torch.Tensor, pictures: int, network: str) -> list[Attention]:
    """All attentions between a leaf and a score, in the order in which they ran.

    Args:
        score: of all pictures of the batch, with its graph.
        leaf: the pixels or tokens that the graph begins at.
        pictures: how many there are.
        network: its name, for the error.

    Raises:
        NotSupportedError: there is none, or one that is not of all tokens to all tokens.
    """
    try:
        found = [
            Attention(_of_pictures(node._saved_result, pictures, network), GradientEdge(node, 0))
            for node in reversed(on_the_way(score, leaf))
            if name_of(node) in _SOFTMAX and _attends(node)
        ]
    except CheckpointError as error:
        raise NotSupportedError(
            f"{network!r} recomputes its activations instead of keeping them (gradient checkpointing), so that its "
            "attention cannot be read: switch that off"
        ) from error
    if not found:
        raise NotSupportedError(f"no attention between tokens is seen in {network!r}: {WAY_OUT}")
    return found


def check_in_turn(found: list[Attention], network: str) -> None:
    """Refuse attentions that cannot be followed from one to the next.

    Raises:
        NotSupportedError: some run side by side.
    """
    if not all(_is_behind(one.edge.node, other.edge.node) for one, other in pairwise(found)):
        raise NotSupportedError(f"attentions of {network!r} run side by side, not one after the other: {WAY_OUT}")


def token_grid(survey: Survey, found: list[Attention], network: str) -> Layer:
    """How the tokens that attend lie over the picture.

    Raises:
        NotSupportedError: no layer of the network has so many tokens on a grid, or they become fewer.
    """
    tokens, *others = dict.fromkeys(one.weights.shape[-1] for one in found)
    if others:
        raise NotSupportedError(f"tokens of {network!r} become fewer from attention to attention: {WAY_OUT}")
    for seen in survey.seen:
        layer = layer_of(seen, survey)
        if layer is not None and layer.layout == "tokens" and seen.shape[1] == tokens:
            return layer
    raise NotSupportedError(
        f"attention of {network!r} is between {tokens} tokens, which are no grid over the picture "
        f"(windows, channels or pooled tokens): {WAY_OUT}"
    )


def blocks(survey: Survey) -> list[str]:
    """The blocks of a transformer, first to last: the most modules of one kind, side by side on the stream of tokens.

    Empty where there are none.
    """
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    names = [seen.name for seen in survey.seen]
    for seen in survey.seen:
        layer = layer_of(seen, survey)
        whole = any(other.startswith(f"{seen.name}.") for other in names)
        if layer is not None and layer.layout == "tokens" and whole and seen.calls == 1 and not seen.passage:
            groups[seen.name.rpartition(".")[0], seen.kind].append(seen.name)
    outer_first = sorted(groups.items(), key=lambda group: group[0][0].count("."))
    return max((found for _, found in outer_first), key=len, default=[])


def attend(  # noqa: PLR0913 — torch's own signature
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """`scaled_dot_product_attention` as torch's documentation writes it out."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    logits = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    if attn_mask is not None:
        masked = attn_mask.dtype == torch.bool
        logits = logits.masked_fill(~attn_mask, -torch.inf) if masked else logits + attn_mask
    weights = logits.softmax(-1)
    return (
        functional.dropout(weights, dropout_p).to(value.dtype) @ value if dropout_p else weights.to(value.dtype) @ value
    )


def _attends(node: Any) -> bool:
    """Whether a softmax is over the last axis of matrices: that of a head has none, others are over channels."""
    weights = node._saved_result
    last = node._saved_dim in (weights.ndim - 1, -1, _MINUS_ONE)
    return weights.ndim > 2 and last


def _of_pictures(weights: torch.Tensor, pictures: int, network: str) -> torch.Tensor:
    """`b h n n` float32, from that or from `(b h) n n`."""
    rows, columns = weights.shape[-2:]
    windows = weights.ndim > 4 or (weights.ndim == 4 and len(weights) != pictures) or len(weights) % pictures
    if windows:
        raise NotSupportedError(
            f"attention of {network!r} stays inside windows of {columns} tokens and never reaches over the picture: "
            f"{WAY_OUT}"
        )
    if rows != columns:
        raise NotSupportedError(
            f"an attention of {network!r} is of {rows} tokens to {columns} others, not of all tokens to all tokens: "
            f"{WAY_OUT}"
        )
    return weights.detach().reshape(pictures, -1, rows, columns).float()


def _is_behind(earlier: Any, later: Any) -> bool:
    """Whether autograd reaches the earlier node from the later one."""
    seen, waiting = {later}, [later]
    while waiting:
        for before, _ in waiting.pop().next_functions:
            if before is earlier:
                return True
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)
    return False
