"""How the operations of a traced pass are said so that a compiled program has them, and runs them fast.

A way back has operations that no runtime for networks knows; all of them are linear and can be said by those of a way
forward. A convolution of stride 1 runs back as the convolution with its kernel turned round; the first maximum of a
window is found by comparing, and what comes back is added up at its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.nn import functional

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
_FEW = 16  # channels, up to which a strided convolution runs back faster as one of stride 1 whose cells are spread out
_WHOLE = 1 << 24  # whole numbers up to here are exact in float32
_NOWHERE = -3e38  # less than any activation, and a number


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


def shape_of(node: fx.Node, place: int) -> tuple[int, ...]:
    """The shape of a node's argument."""
    given: Any = node.args[place]
    return tuple(int(side) for side in given.meta["val"].shape)


def _sides(maps: torch.Tensor) -> tuple[int, ...]:
    """Height and width, as plain numbers also while a pass is traced."""
    return tuple(int(side) for side in maps.shape[2:])


def _same(_: fx.Node, value: torch.Tensor, **__: Any) -> torch.Tensor:
    return value


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _view(_: fx.Node, value: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """`view`, of a value that may lie otherwise in memory than the network's did."""
    return value.reshape(list(shape))


def _strided(_: fx.Node, value: torch.Tensor, shape: Sequence[int], strides: Sequence[int], *__: Any) -> torch.Tensor:
    _whole(value, shape, strides)
    return value.reshape(list(shape))


def _strided_scatter(
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


def _copy(_: fx.Node, into: torch.Tensor, value: torch.Tensor, *__: Any) -> torch.Tensor:
    return value.expand(into.shape)


def _adaptive(node: fx.Node, maps: torch.Tensor, cells: Sequence[int]) -> torch.Tensor:
    return maps if tuple(cells) == shape_of(node, 0)[2:] else functional.adaptive_avg_pool2d(maps, (cells[0], cells[1]))


def _norm(_: fx.Node, *args: Any) -> tuple[torch.Tensor, None, None]:
    pixels, weight, bias, mean, variance, training, _momentum, eps = args
    if training or mean is None:
        raise ValueError("a batch normalisation that looks at the batch")
    scale = 1 / torch.sqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return pixels * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1), None, None


def _layer_norm(_: fx.Node, *args: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    values, shape, weight, bias, eps = args
    axes = list(range(-len(shape), 0))
    mean = values.mean(axes, keepdim=True)
    away = values - mean
    scale = torch.rsqrt((away * away).mean(axes, keepdim=True) + eps)
    found = away * scale if weight is None else away * scale * weight
    return found if bias is None else found + bias, mean, scale


def _softmax(_: fx.Node, values: torch.Tensor, axis: int, *__: Any) -> torch.Tensor:
    return torch.softmax(values, axis)


def _norm_back(_: fx.Node, *args: Any) -> tuple[torch.Tensor, None, None]:
    back, _pixels, weight, _mean, variance, _, _, training, eps, _mask = args
    scale = 1 / torch.sqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    if training:
        raise ValueError("a batch normalisation that looks at the batch")
    return back * scale.view(1, -1, 1, 1), None, None


def _convolution_back(node: fx.Node, *args: Any) -> tuple[torch.Tensor, None, None]:
    back, _, weight, _, stride, padding, dilation, transposed, _, groups, mask = args
    shape = shape_of(node, 1)
    if transposed or len(shape) != 4 or list(mask) != [True, False, False]:
        raise ValueError("a convolution that is transposed, not of pictures, or learns")
    kernel = _sides(weight)
    margin = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    if set(stride) == {1} and min(margin) >= 0:
        return functional.conv2d(back, _turned(weight, groups), None, 1, margin, dilation, groups), None, None
    if shape[1] <= _FEW and groups == 1 and set(dilation) == {1} and len(set(stride)) == 1:
        return _spread_out(back, weight, shape, stride[0], padding), None, None
    sides = zip(shape[2:], _sides(back), stride, padding, dilation, kernel, strict=True)
    rest = [side - ((cells - 1) * s - 2 * p + d * (k - 1) + 1) for side, cells, s, p, d, k in sides]
    return functional.conv_transpose2d(back, weight, None, stride, padding, rest, groups, dilation), None, None


def _turned(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The kernel of the convolution that runs back: rows and columns reversed, inputs and outputs exchanged."""
    own = _constant(weight)
    outputs, inputs, *kernel = own.shape
    own = own.reshape(groups, outputs // groups, inputs, *kernel)
    turned = own.swapaxes(1, 2)[..., ::-1, ::-1].reshape(groups * inputs, outputs // groups, *kernel)
    return torch.from_numpy(np.ascontiguousarray(turned))


def _spread_out(
    back: torch.Tensor, weight: torch.Tensor, shape: tuple[int, ...], stride: int, padding: Sequence[int]
) -> torch.Tensor:
    """A strided convolution run back as one of stride 1, a channel for each of the cells between two steps.

    Pixel s·q + r takes from output q − m the weight at r + p + s·m. Runtimes are slow at convolutions to three channels
    with zeros between the steps, and a stem's is the largest.
    """
    own = _constant(weight)
    outputs, inputs, *kernel = own.shape
    first = [-((stride - 1 + p) // stride) for p in padding]
    last = [(k - 1 - p) // stride for k, p in zip(kernel, padding, strict=True)]
    taps = [high - low + 1 for low, high in zip(first, last, strict=True)]
    spread = np.zeros((inputs, stride, stride, outputs, *taps), own.dtype)
    for row in range(stride):
        for column in range(stride):
            for down in range(taps[0]):
                for right in range(taps[1]):
                    y = row + padding[0] + stride * (last[0] - down)
                    x = column + padding[1] + stride * (last[1] - right)
                    if 0 <= y < kernel[0] and 0 <= x < kernel[1]:
                        spread[:, row, column, :, down, right] = own[:, :, y, x].T
    cells = [-(-side // stride) for side in shape[2:]]
    ends = [cell - 1 - low - (side - 1) for cell, low, side in zip(cells, first, _sides(back), strict=True)]
    padded = functional.pad(back, (last[1], ends[1], last[0], ends[0]))
    found = functional.conv2d(padded, torch.from_numpy(spread.reshape(-1, outputs, *taps)))
    return functional.pixel_shuffle(found, stride)[:, :, : shape[2], : shape[3]]


def _constant(weight: torch.Tensor) -> Any:
    """A weight as a constant, so that what is made of it is not made again by every run."""
    return weight.detach().numpy()


def _max_pool(node: fx.Node, *args: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The maximum of each window and where it lies in the flattened map: the first one, row by row, as torch has it."""
    pixels, sides = args[0], [*args[1:], *_POOL[len(args) - 2 :]]
    kernel, stride, padding, dilation = (_pair(one) for one in (sides[0], sides[1] or sides[0], sides[2], sides[3]))
    found = functional.max_pool2d(pixels, kernel, stride, padding, dilation, sides[4])
    if not any(user.args[1] == 1 for user in node.users):
        return found, found
    (high, wide), (rows, columns) = _sides(pixels), _sides(found)
    if high * wide >= _WHOLE:
        raise ValueError("a map too large for its places to be numbered in float32")
    ends = [
        max(0, (cells - 1) * s + d * (k - 1) + 1 - side - p)
        for cells, s, d, k, side, p in zip(
            (rows, columns), stride, dilation, kernel, (high, wide), padding, strict=True
        )
    ]
    padded = functional.pad(pixels, (padding[1], ends[1], padding[0], ends[0]), value=_NOWHERE)
    at: torch.Tensor | None = None
    for place in reversed(range(kernel[0] * kernel[1])):
        down, right = (step * d for step, d in zip(divmod(place, kernel[1]), dilation, strict=True))
        seen = padded[:, :, down : down + (rows - 1) * stride[0] + 1, right : right + (columns - 1) * stride[1] + 1]
        offset = float((down - padding[0]) * wide + right - padding[1])
        here = seen[:, :, :: stride[0], :: stride[1]]
        at = torch.full_like(found, offset) if at is None else torch.where(here == found, offset, at)
    assert at is not None
    begins = np.arange(rows)[:, None] * stride[0] * wide + np.arange(columns) * stride[1]
    return found, (at + torch.from_numpy(begins.astype(np.float32))).to(torch.int32)


def _max_pool_back(node: fx.Node, *args: Any) -> torch.Tensor:
    back, places = args[0], args[-1]
    shape = shape_of(node, 1)
    empty = torch.zeros(shape[0], shape[1], shape[2] * shape[3])
    return empty.scatter_add(2, places.long().flatten(2), back.flatten(2)).view(shape)


_POOL = (None, 0, 1, False)  # of max_pool2d, from its stride on: what its arguments are where they are left out


def _avg_pool_back(node: fx.Node, *args: Any) -> torch.Tensor:
    back, _, kernel, stride, padding, ceil, count_padding, divisor = args
    kernel, stride, padding = _pair(kernel), _pair(stride or kernel), _pair(padding)
    if ceil or divisor or (max(padding) > 0 and not count_padding):
        raise ValueError("an average over windows that are not all of one size")
    return _mean_back(back, shape_of(node, 1), kernel, stride, padding)


def _adaptive_back(node: fx.Node, *args: Any) -> torch.Tensor:
    back, shape = args[0], shape_of(node, 1)
    cells = _sides(back)
    if any(side % cell for side, cell in zip(shape[2:], cells, strict=True)):
        raise ValueError("an average over windows that are not all of one size")
    kernel = [side // cell for side, cell in zip(shape[2:], cells, strict=True)]
    if kernel == [1, 1]:
        return back
    if cells == (1, 1):
        return (back / (kernel[0] * kernel[1])).expand(shape)
    return _mean_back(back, shape, kernel, kernel, [0, 0])


def _mean_back(
    back: torch.Tensor, shape: tuple[int, ...], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> torch.Tensor:
    weight = torch.full((shape[1], 1, *kernel), 1 / (kernel[0] * kernel[1]))
    sides = zip(shape[2:], _sides(back), stride, padding, kernel, strict=True)
    rest = [side - ((cells - 1) * s - 2 * p + k) for side, cells, s, p, k in sides]
    return functional.conv_transpose2d(back, weight, None, list(stride), list(padding), rest, shape[1])


def _pad(_: fx.Node, pixels: torch.Tensor, margins: Sequence[int], value: float = 0.0) -> torch.Tensor:
    """`constant_pad_nd`, whose way back has negative margins."""
    grown = functional.pad(pixels, [max(margin, 0) for margin in margins], value=value)
    for place in range(0, len(margins), 2):
        axis = grown.ndim - 1 - place // 2
        before, after = (max(-margin, 0) for margin in margins[place : place + 2])
        grown = grown.narrow(axis, before, grown.shape[axis] - before - after) if before or after else grown
    return grown


def _slice_back(_: fx.Node, back: torch.Tensor, *args: Any) -> torch.Tensor:
    sizes, axis, start, _end, step = args
    axis, side = axis % back.ndim, sizes[axis]
    start = max(0, start + side if start < 0 else min(start, side))
    if step != 1:  # zeros between the steps
        back = _beside(back.unsqueeze(axis + 1), axis + 1, 0, step - 1).flatten(axis, axis + 1)
        back = back.narrow(axis, 0, min(int(back.shape[axis]), side - start))
    return _beside(back, axis, start, side - start - int(back.shape[axis]))


def _select_back(_: fx.Node, back: torch.Tensor, *args: Any) -> torch.Tensor:
    sizes, axis, index = args
    index = index + sizes[axis] if index < 0 else index
    return _beside(back.unsqueeze(axis), axis, index, sizes[axis] - index - 1)


def _beside(back: torch.Tensor, axis: int, before: int, after: int) -> torch.Tensor:
    """A gradient with zeros before and after it."""
    axis = axis % back.ndim
    return functional.pad(back, [*[0, 0] * (back.ndim - 1 - axis), before, after])


def _pair(sides: Any) -> list[int]:
    found = [sides] if isinstance(sides, int) else list(sides)
    return found * 2 if len(found) == 1 else found


_RULES: dict[Any, Rule] = {
    _aten.alias.default: _same,
    _aten.detach.default: _same,
    _aten.clone.default: _same,
    _aten.empty.memory_format: _nothing,
    _aten.view.default: _view,
    _aten.copy.default: _copy,
    _aten.as_strided.default: _strided,
    _aten.as_strided_scatter.default: _strided_scatter,
    _aten._unsafe_view.default: _view,
    _aten._adaptive_avg_pool2d.default: _adaptive,
    _aten.native_batch_norm.default: _norm,
    _aten.native_layer_norm.default: _layer_norm,
    _aten._softmax.default: _softmax,
    _aten._safe_softmax.default: _softmax,
    _aten.native_batch_norm_backward.default: _norm_back,
    _aten.convolution_backward.default: _convolution_back,
    _aten.max_pool2d_with_indices.default: _max_pool,
    _aten.max_pool2d_with_indices_backward.default: _max_pool_back,
    _aten.avg_pool2d_backward.default: _avg_pool_back,
    _aten._adaptive_avg_pool2d_backward.default: _adaptive_back,
    _aten.constant_pad_nd.default: _pad,
    _aten.slice_backward.default: _slice_back,
    _aten.select_backward.default: _select_back,
}
