"""Maxima and means over windows, there and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.nn import functional

from sightline.passes.runtimes.gradients.shapes import pair, shape_of, sides_of

_WHOLE = 1 << 24  # whole numbers up to here are exact in float32
_NOWHERE = -3e38  # less than any activation, and a number
_POOL = (None, 0, 1, False)  # of max_pool2d, from its stride on: what its arguments are where they are left out


def max_pool(node: fx.Node, *args: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The maximum of each window and where it lies in the flattened map: the first one, row by row, as torch has it."""
    pixels, how = args[0], [*args[1:], *_POOL[len(args) - 2 :]]
    kernel, stride, padding, dilation = (pair(one) for one in (how[0], how[1] or how[0], how[2], how[3]))
    found = functional.max_pool2d(pixels, kernel, stride, padding, dilation, how[4])
    if not any(user.args[1] == 1 for user in node.users):
        return found, found
    (high, wide), (rows, columns) = sides_of(pixels), sides_of(found)
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


def max_pool_back(node: fx.Node, *args: Any) -> torch.Tensor:
    back, places = args[0], args[-1]
    shape = shape_of(node, 1)
    empty = torch.zeros(shape[0], shape[1], shape[2] * shape[3])
    return empty.scatter_add(2, places.long().flatten(2), back.flatten(2)).view(shape)


def avg_pool_back(node: fx.Node, *args: Any) -> torch.Tensor:
    back, _, kernel, stride, padding, ceil, count_padding, divisor = args
    kernel, stride, padding = pair(kernel), pair(stride or kernel), pair(padding)
    if ceil or divisor or (max(padding) > 0 and not count_padding):
        raise ValueError("an average over windows that are not all of one size")
    return _mean_back(back, shape_of(node, 1), kernel, stride, padding)


def adaptive(node: fx.Node, maps: torch.Tensor, cells: Sequence[int]) -> torch.Tensor:
    return maps if tuple(cells) == shape_of(node, 0)[2:] else functional.adaptive_avg_pool2d(maps, (cells[0], cells[1]))


def adaptive_back(node: fx.Node, *args: Any) -> torch.Tensor:
    back, shape = args[0], shape_of(node, 1)
    cells = sides_of(back)
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
    sides = zip(shape[2:], sides_of(back), stride, padding, kernel, strict=True)
    rest = [side - ((cells - 1) * s - 2 * p + k) for side, cells, s, p, k in sides]
    return functional.conv_transpose2d(back, weight, None, list(stride), list(padding), rest, shape[1])
