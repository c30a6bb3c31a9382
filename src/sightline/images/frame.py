"""Where the network's input lies in the picture, and the exact way there and back.

    upright picture ──turn──► picture as the network sees it ──resize──► resized ──crop──► input of the network

Pixel centres are whole numbers (row 0 is the middle of the first row), so a resize by s maps r to (r + ½)·s − ½.
Maps and masks are resampled with a triangle filter, which is bilinear interpolation when enlarging and averages over
the pixels that fall together when shrinking, so that a single hot pixel is never skipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sightline.errors import UsageError
from sightline.images.orientation import point_back, point_upright, turn_back, turn_upright, turned_size

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Frame:
    """The geometry of one prepared picture; all sizes are (height, width), all numbers whole.

    `picture` is the upright picture; `turn` is the orientation 1…8 that takes what the network sees to upright;
    `resized` is the size after the resize; `top` and `left` are the corner of the crop in the resized picture, negative
    where the crop adds a border; `input` is the size of the network's input.
    """

    picture: tuple[int, int]
    turn: int
    resized: tuple[int, int]
    top: int
    left: int
    input: tuple[int, int]

    @classmethod
    def whole(cls, height: int, width: int) -> Frame:
        """The frame in which the input is the picture itself."""
        size = (height, width)
        return cls(size, 1, size, 0, 0, size)

    def to_picture(self, map: Array) -> Array:
        """A map `h w` of the input as float32 `H W` in the upright picture, 0 where the network did not look.

        Raises:
            UsageError: the map has not the input's size, or is not finite.
        """
        _check(map, self.input, "map", "network's input")
        height, width = turned_size(self.picture, self.turn)
        rows = _axis(_centres(height, self.resized[0]) - self.top, self.input[0], self.resized[0] / height)
        columns = _axis(_centres(width, self.resized[1]) - self.left, self.input[1], self.resized[1] / width)
        values = columns(rows(np.asarray(map, np.float32)).T).T
        return np.ascontiguousarray(turn_upright(values, self.turn))

    def from_picture(self, mask: Array) -> Array:
        """A mask or map `H W` of the upright picture in the input, `h w`; what lies outside the picture is 0.

        Floating-point values come back as float32; a mask of booleans is True where at least half of the pixel is.

        Raises:
            UsageError: the mask has not the picture's size, or is not finite.
        """
        _check(mask, self.picture, "mask", "picture")
        seen = np.asarray(turn_back(np.asarray(mask), self.turn), np.float32)
        height, width = seen.shape
        rows = _axis(_centres(self.resized[0], height), height, height / self.resized[0])
        columns = _axis(_centres(self.resized[1], width), width, width / self.resized[1])
        rows, columns = rows.part(self.top, self.input[0]), columns.part(self.left, self.input[1])
        values = np.ascontiguousarray(columns(rows(seen).T).T)
        return values >= 0.5 if mask.dtype == bool else values

    def seen(self) -> Array:
        """Booleans `H W` of the upright picture: True where the network looked (not cropped away)."""
        height, width = turned_size(self.picture, self.turn)
        rows = _inside(_centres(height, self.resized[0]) - self.top, self.input[0])
        columns = _inside(_centres(width, self.resized[1]) - self.left, self.input[1])
        return np.ascontiguousarray(turn_upright(rows[:, None] & columns[None, :], self.turn))

    @property
    def share(self) -> float:
        """The part of the picture that the network sees, 0 to 1: what the crop leaves of it."""
        ends = zip((self.top, self.left), self.input, self.resized, strict=True)
        return math.prod(max(0, min(start + kept, side) - max(start, 0)) / side for start, kept, side in ends)

    def point_to_picture(self, row: float, column: float) -> tuple[float, float]:
        """A point of the input in the upright picture (pixel centres are whole numbers); it may lie outside."""
        height, width = turned_size(self.picture, self.turn)
        seen_row = (row + self.top + 0.5) * height / self.resized[0] - 0.5
        seen_column = (column + self.left + 0.5) * width / self.resized[1] - 0.5
        return point_upright(seen_row, seen_column, self.turn, self.picture)

    def point_from_picture(self, row: float, column: float) -> tuple[float, float]:
        """A point of the upright picture in the input; the inverse of `point_to_picture`."""
        seen_row, seen_column = point_back(row, column, self.turn, self.picture)
        height, width = turned_size(self.picture, self.turn)
        input_row = (seen_row + 0.5) * self.resized[0] / height - 0.5 - self.top
        input_column = (seen_column + 0.5) * self.resized[1] / width - 0.5 - self.left
        return input_row, input_column


@dataclass(frozen=True, eq=False)
class _Axis:
    """How to read one axis at n positions: `index` and `weights` are `n k`, k neighbours for each position."""

    index: Array
    weights: Array

    def __call__(self, values: Array) -> Array:
        """`size m` → `n m`."""
        out = np.zeros((self.index.shape[0], values.shape[1]), np.float32)
        for index, weights in zip(self.index.T, self.weights.T, strict=True):
            out += weights[:, None] * values[index]
        return out

    def part(self, first: int, count: int) -> _Axis:
        """Positions `first` … `first + count`; those that do not exist read 0."""
        neighbours = self.index.shape[1]
        index, weights = np.zeros((count, neighbours), np.intp), np.zeros((count, neighbours), np.float32)
        low, high = max(first, 0), min(first + count, self.index.shape[0])
        if low < high:
            index[low - first : high - first] = self.index[low:high]
            weights[low - first : high - first] = self.weights[low:high]
        return _Axis(index, weights)


def _axis(positions: Array, size: int, step: float) -> _Axis:
    """Read an axis of `size` values at `positions`, `step` apart, with a triangle of half-width max(1, step)."""
    width = max(1.0, step)
    first = np.floor(positions - width).astype(np.intp) + 1
    index = first[:, None] + np.arange(math.ceil(2 * width))
    weights = np.maximum(0, 1 - np.abs(index - positions[:, None]) / width)
    weights[(index < 0) | (index >= size)] = 0
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    weights[~_inside(positions, size)] = 0
    return _Axis(index.clip(0, size - 1), weights.astype(np.float32))


def _centres(size: int, other: int) -> Array:
    """Where the pixel centres of an axis of `size` lie in an axis of `other` pixels over the same extent."""
    return (np.arange(size, dtype=np.float64) + 0.5) * (other / size) - 0.5


def _inside(positions: Array, size: int) -> Array:
    return (positions >= -0.5) & (positions < size - 0.5)


def _check(values: Array, size: tuple[int, int], what: str, where: str) -> None:
    if tuple(values.shape) != size:
        raise UsageError(f"{what} of {' × '.join(map(str, values.shape))}, expected {size[0]} × {size[1]}: the {where}")
    if values.dtype != bool and not bool(np.isfinite(values).all()):
        raise UsageError(f"{what} with NaN or infinity cannot be resampled")
