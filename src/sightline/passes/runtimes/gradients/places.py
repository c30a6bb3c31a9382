"""Views, copies, paddings and slices: values that are brought to other places, there and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.nn import functional


def view(_: fx.Node, value: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """`view`, of a value that may lie otherwise in memory than the network's did."""
    return value.reshape(list(shape))


def strided(_: fx.Node, value: torch.Tensor, shape: Sequence[int], strides: Sequence[int], *__: Any) -> torch.Tensor:
    _whole(value, shape, strides)
    return value.reshape(list(shape))


def strided_scatter(
    _: fx.Node, into: torch.Tensor, value: torch.Tensor, shape: Sequence[int], strides: Sequence[int], *__: Any
) -> torch.Tensor:
    _whole(into, shape, strides)
    return value.reshape(into.shape)


def _whole(value: torch.Tensor, shape: Sequence[int], strides: Sequence[int]) -> None:
    """Refuse a view by places in memory unless it is all of a tensor, row by row."""
    expected = 1
    for side, stride in zip(reversed(shape), reversed(strides), strict=True):
        if side != 1 and stride != expected:
            raise ValueError("a view of places in memory")
        expected *= side
    if expected != math.prod(int(side) for side in value.shape):
        raise ValueError("a view of places in memory")


def copy(_: fx.Node, into: torch.Tensor, value: torch.Tensor, *__: Any) -> torch.Tensor:
    return value.expand(into.shape)


def pad(_: fx.Node, pixels: torch.Tensor, margins: Sequence[int], value: float = 0.0) -> torch.Tensor:
    """`constant_pad_nd`, whose way back has negative margins."""
    grown = functional.pad(pixels, [max(margin, 0) for margin in margins], value=value)
    for place in range(0, len(margins), 2):
        axis = grown.ndim - 1 - place // 2
        before, after = (max(-margin, 0) for margin in margins[place : place + 2])
        grown = grown.narrow(axis, before, grown.shape[axis] - before - after) if before or after else grown
    return grown


def slice_back(_: fx.Node, back: torch.Tensor, *args: Any) -> torch.Tensor:
    sizes, axis, start, _end, step = args
    axis, side = axis % back.ndim, sizes[axis]
    start = max(0, start + side if start < 0 else min(start, side))
    if step != 1:  # zeros between the steps
        back = _beside(back.unsqueeze(axis + 1), axis + 1, 0, step - 1).flatten(axis, axis + 1)
        back = back.narrow(axis, 0, min(int(back.shape[axis]), side - start))
    return _beside(back, axis, start, side - start - int(back.shape[axis]))


def select_back(_: fx.Node, back: torch.Tensor, *args: Any) -> torch.Tensor:
    sizes, axis, index = args
    index = index + sizes[axis] if index < 0 else index
    return _beside(back.unsqueeze(axis), axis, index, sizes[axis] - index - 1)


def _beside(back: torch.Tensor, axis: int, before: int, after: int) -> torch.Tensor:
    """A gradient with zeros before and after it."""
    axis = axis % back.ndim
    return functional.pad(back, [*[0, 0] * (back.ndim - 1 - axis), before, after])
