"""Convolutions run back, by convolutions that programs have and run fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.nn import functional

from sightline.passes.runtimes.gradients.shapes import shape_of, sides_of

_FEW = 16  # channels, up to which a strided convolution runs back faster as one of stride 1 whose cells are spread out


def convolution_back(node: fx.Node, *args: Any) -> tuple[torch.Tensor, None, None]:
    back, _, weight, _, stride, padding, dilation, transposed, _, groups, mask = args
    shape = shape_of(node, 1)
    if transposed or len(shape) != 4 or list(mask) != [True, False, False]:
        raise ValueError("a convolution that is transposed, not of pictures, or learns")
    kernel = sides_of(weight)
    margin = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    if set(stride) == {1} and min(margin) >= 0:
        return functional.conv2d(back, _turned(weight, groups), None, 1, margin, dilation, groups), None, None
    if shape[1] <= _FEW and groups == 1 and set(dilation) == {1} and len(set(stride)) == 1:
        return _spread_out(back, weight, shape, stride[0], padding), None, None
    sides = zip(shape[2:], sides_of(back), stride, padding, dilation, kernel, strict=True)
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
    ends = [cell - 1 - low - (side - 1) for cell, low, side in zip(cells, first, sides_of(back), strict=True)]
    padded = functional.pad(back, (last[1], ends[1], last[0], ends[0]))
    found = functional.conv2d(padded, torch.from_numpy(spread.reshape(-1, outputs, *taps)))
    return functional.pixel_shuffle(found, stride)[:, :, : shape[2], : shape[3]]


def _constant(weight: torch.Tensor) -> Any:
    """A weight as a constant, so that what is made of it is not made again by every run."""
    return weight.detach().numpy()
