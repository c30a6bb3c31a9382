"""How the operations of a traced pass are said so that a compiled program has them, and runs them fast.

A way back has operations that no runtime for networks knows; all of them are linear and can be said by those of a way
forward. A convolution of stride 1 runs back as the convolution with its kernel turned round; the first maximum of a
window is found by comparing, and what comes back is added up at its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from sightline.passes.runtimes.gradients.convolutions import convolution_back
from sightline.passes.runtimes.gradients.normalisations import layer_norm, norm, norm_back, softmax
from sightline.passes.runtimes.gradients.places import (
    copy,
    pad,
    select_back,
    slice_back,
    strided,
    strided_scatter,
    view,
)
from sightline.passes.runtimes.gradients.pooling import adaptive, adaptive_back, avg_pool_back, max_pool, max_pool_back

_aten = torch.ops.aten

Rule = Callable[..., Any]
"""From a node, for the shapes of its inputs, and the values of its arguments to its value."""

_SHAPE_ONLY: dict[Any, tuple[int, ...]] = {
    _aten.convolution_backward.default: (1,),
    _aten.max_pool2d_with_indices_backward.default: (1,),
    _aten.avg_pool2d_backward.default: (1,),
    _aten._adaptive_avg_pool2d_backward.default: (1,),
    _aten.native_batch_norm_backward.default: (1, 5, 6),
}


def only_shape(node: fx.Node) -> tuple[int, ...]:
    """The places of the arguments of which a node needs no more than the shape."""
    return _SHAPE_ONLY.get(node.target, ())


def value_of(node: fx.Node, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a node gives, by operations that programs have."""
    rule = _RULES.get(node.target)
    if rule is not None:
        return rule(node, *args, **kwargs)
    target: Any = node.target
    name = target.__name__.split(".")[0]
    if name.endswith("_") and not name.endswith("__"):  # in place: later nodes take what this one gives
        target = getattr(getattr(_aten, name[:-1]), target._overloadname)
    return target(*args, **kwargs)


def _same(_: fx.Node, value: torch.Tensor, **__: Any) -> torch.Tensor:
    return value


def _nothing(*_: Any, **__: Any) -> None:
    return None


_RULES: dict[Any, Rule] = {
    _aten.alias.default: _same,
    _aten.detach.default: _same,
    _aten.clone.default: _same,
    _aten.empty.memory_format: _nothing,
    _aten.view.default: view,
    _aten.copy.default: copy,
    _aten.as_strided.default: strided,
    _aten.as_strided_scatter.default: strided_scatter,
    _aten._unsafe_view.default: view,
    _aten._adaptive_avg_pool2d.default: adaptive,
    _aten.native_batch_norm.default: norm,
    _aten.native_layer_norm.default: layer_norm,
    _aten._softmax.default: softmax,
    _aten._safe_softmax.default: softmax,
    _aten.native_batch_norm_backward.default: norm_back,
    _aten.convolution_backward.default: convolution_back,
    _aten.max_pool2d_with_indices.default: max_pool,
    _aten.max_pool2d_with_indices_backward.default: max_pool_back,
    _aten.avg_pool2d_backward.default: avg_pool_back,
    _aten._adaptive_avg_pool2d_backward.default: adaptive_back,
    _aten.constant_pad_nd.default: pad,
    _aten.slice_backward.default: slice_back,
    _aten.select_backward.default: select_back,
}
