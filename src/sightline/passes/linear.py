"""Linear layers through oneDNN, where that is faster than what torch multiplies float32 matrices with.

On a CPU torch gives convolutions to oneDNN and linear layers to MKL, which keeps its AVX-512 kernels for the processors
of its maker: on others a transformer's layers take twice as long as they need. oneDNN sums in another order, so that
scores and gradients differ by rounding (1e-6). That is no matter where nothing but smooth operations are on the way;
gradients that pass a kink are left as the network gives them (docs/decisions/0014).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from sightline.passes.layouts import compiled

_FEWEST = 4_000_000
"""Multiplications of a layer from which looking at a call costs nothing beside it."""

_WEIGHTS = 1_000_000
"""Of linear layers, that a network has at the least: smaller ones gain nothing that could be measured."""

_FASTER = 1.3
"""As many times as fast must oneDNN be in a trial: less may be chance, and gains little."""

_LINEAR: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""Whether most of a network's weights are those of linear layers; forgotten with the network."""


def quick_linear(network: nn.Module | None, device: torch.device) -> AbstractContextManager[Any]:
    """Inside, the large linear layers of a network of such layers run by oneDNN, forward and back, if it is faster."""
    return QuickLinear() if network is not None and serves(network, device) else nullcontext()


def serves(network: nn.Module, device: torch.device) -> bool:
    """Whether oneDNN would run the linear layers of a network faster."""
    large = device.type == "cpu" and is_linear(network)
    return large and not compiled(network) and faster(torch.get_num_threads())


def is_linear(network: nn.Module) -> bool:
    """Whether most of a network's work is done by linear layers, as in a transformer, as far as its weights tell."""
    if network not in _LINEAR:
        linear = _weights(network, nn.Linear)
        _LINEAR[network] = linear >= _WEIGHTS and linear >= _weights(network, nn.Conv2d)
    return _LINEAR[network]


def linear(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`functional.linear`, the faster way, of what is no part of a graph."""
    quick = given.device.type == "cpu" and _takes(given, weight, bias) and faster(torch.get_num_threads())
    return _multiplied(given, weight, bias) if quick else functional.linear(given, weight, bias)


class QuickLinear(TorchFunctionMode):
    """Inside, large linear layers with frozen weights in float32 run by oneDNN."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.linear and not kwargs and _takes(*args):
            return ByOneDnn.apply(args[0], args[1], args[2] if len(args) > 2 else None)
        return func(*args, **(kwargs or {}))


class ByOneDnn(torch.autograd.Function):
    """`functional.linear`, whose weights are no part of the graph."""

    @staticmethod
    def forward(ctx: Any, given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(weight)
        # Row by row and not as it is: of more axes the product would be a view, which nobody may write into.
        found = _multiplied(given.reshape(-1, given.shape[-1]), weight, bias)
        return torch.ops.aten._unsafe_view(found, [*given.shape[:-1], len(weight)])

    @staticmethod
    def backward(ctx: Any, *back: torch.Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        return ByOneDnn.apply(back[0], weight.t(), None), None, None


def _multiplied(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(given, weight, bias, "none", [], "")
    return found


def _takes(given: Any, weight: Any, bias: Any = None) -> bool:
    plain = all(type(one) in {torch.Tensor, nn.Parameter} and one.dtype == torch.float32 for one in (given, weight))
    if not plain or given.ndim < 2 or weight.ndim != 2 or torch.is_autocast_enabled("cpu"):
        return False
    frozen = not any(value.requires_grad for value in (weight, bias) if value is not None)
    return frozen and given.numel() * weight.shape[0] >= _FEWEST


@lru_cache(maxsize=8)
def faster(threads: int) -> bool:  # noqa: ARG001 (another number of threads is another trial)
    """Whether this torch has oneDNN's product, it is the same, and it is faster with so many threads: 10 ms, once."""
    if not torch.backends.mkldnn.is_available():
        return False
    draw = torch.Generator().manual_seed(0)
    given, weight, bias = (torch.randn(*size, generator=draw) for size in ((392, 192), (576, 192), (576,)))
    try:
        close = torch.allclose(_multiplied(given, weight, bias), functional.linear(given, weight, bias), 1e-4, 1e-4)
    except (AttributeError, RuntimeError, TypeError):  # not in this torch, or with other arguments
        return False
    own, onednn = (_seconds(way, given, weight, bias) for way in (functional.linear, _multiplied))
    return close and own >= _FASTER * onednn


def _seconds(way: Callable[..., torch.Tensor], *given: torch.Tensor) -> float:
    """The least of some goes."""
    least = float("inf")
    for _ in range(7):
        begun = time.perf_counter()
        way(*given)
        least = min(least, time.perf_counter() - begun)
    return least


def _weights(network: nn.Module, kind: type[nn.Module]) -> int:
    layers = (module for module in network.modules() if isinstance(module, kind))
    return sum(layer.weight.numel() for layer in layers if isinstance(layer.weight, torch.Tensor))
