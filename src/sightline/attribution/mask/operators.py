"""What is done to masks: enlarged to pixels, and measured for roughness. Masks are `b 1 h w`, from 0 to 1."""

from __future__ import annotations

import torch
from torch.nn import functional

from sightline.images.fills import gaussian_matrix
from sightline.types import Pixels

EDGE = 0.01
"""σ of iGOS++'s edge weight, in squared units of the network's input."""


def grid_of(pixels: Pixels, size: int) -> tuple[int, int]:
    """Height and width of a mask of `size` cells a side; never more cells than pixels."""
    height, width = pixels.shape[-2:]
    return min(size, height), min(size, width)


def enlarged(masks: torch.Tensor, pixels: Pixels) -> torch.Tensor:
    """U(M): the masks `b k h w` at the height and width of the pixels, bilinear, corner on corner."""
    return functional.interpolate(masks, tuple(pixels.shape[-2:]), mode="bilinear", align_corners=True)


def copied(masks: torch.Tensor, pixels: Pixels, soft: float) -> torch.Tensor:
    """The masks `b k h w` at the height and width of the pixels: cells copied, then blurred by `soft` pixels."""
    large = functional.interpolate(masks, tuple(pixels.shape[-2:]), mode="nearest")
    rows, columns = (gaussian_matrix(side, soft).to(large) for side in pixels.shape[-2:])
    return rows @ large @ columns.T


def emptiness(mask: torch.Tensor) -> torch.Tensor:
    """mean |1 − M| of each picture, `b`: how much is hidden.

    Where nothing is hidden, the slope of |·| is 0, as in the authors' code: every cell that hides some of the score is
    hidden a little, worth its price or not, and the map ranks them all. By the slope of 1 − M most would stay at 0.
    """
    return (1 - mask).abs().flatten(1).mean(1)


def total_variation(mask: torch.Tensor, power: float = 2.0) -> torch.Tensor:
    """mean |M(i+1, j) − M(i, j)|^β + mean |M(i, j+1) − M(i, j)|^β of each picture, `b`."""
    return _mean(mask.diff(dim=2).abs() ** power) + _mean(mask.diff(dim=3).abs() ** power)


def bilateral_variation(mask: torch.Tensor, pixels: Pixels, power: float = 2.0, edge: float = EDGE) -> torch.Tensor:
    """½ (TV(M) + mean exp(−(∇I)²/σ) |∇U(M)|^β) of each picture, `b`: edges of the picture may be edges of the mask.

    I is the mean of the picture's channels. (The authors' code squares the difference of the mean on one axis, and
    averages the exponentials of the channels on the other.)
    """
    # What is hidden is as rough as what is shown, and exactly flat where nothing is hidden.
    hidden, grey = enlarged(1 - mask, pixels), pixels.mean(1, keepdim=True)
    along = [torch.exp(-(grey.diff(dim=axis) ** 2) / edge) * hidden.diff(dim=axis).abs() ** power for axis in (2, 3)]
    return (total_variation(mask, power) + _mean(along[0]) + _mean(along[1])) / 2


def _mean(values: torch.Tensor) -> torch.Tensor:
    """The mean of each picture; 0 where an axis of one cell has no differences."""
    return values.flatten(1).sum(1) / max(1, values[0].numel())
