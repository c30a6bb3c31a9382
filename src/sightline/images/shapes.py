"""What a map shows as shapes: the parts of a mask that hang together, the boxes around them, and the map's peaks.

Everything is in the frame of the map. A box is (left, top, right, bottom), right and bottom excluded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Region:
    """One part of a mask that hangs together, with the box around it.

    Attributes:
        left, top, right, bottom: of the box in pixels, right and bottom excluded.
        pixels: of the part.
        mass: its share of the map's positive values.
    """

    left: int
    top: int
    right: int
    bottom: int
    pixels: int
    mass: float

    @property
    def box(self) -> Box:
        """(left, top, right, bottom)."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class Point:
    """A peak of a map: where, and its value."""

    row: int
    column: int
    value: float


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a mask that hang together, also by corners, in no particular order.

    Attributes:
        boxes: `n 4` integers (left, top, right, bottom), right and bottom excluded.
        pixels: `n`, of each part.
        mass: `n`, the sum of the weights in each part.
    """

    boxes: NDArray[Any]
    pixels: NDArray[Any]
    mass: NDArray[Any]


def parts(mask: NDArray[np.bool_], weights: NDArray[Any] | None = None) -> Parts:
    """The parts of a mask `h w`; the weights `h w` are 1 where none are given."""
    rows, starts, ends = _runs(mask)
    if not len(rows):
        return Parts(np.zeros((0, 4), np.int64), np.zeros(0, np.int64), np.zeros(0))
    part = _joined(rows, starts, ends, mask.shape[1])
    pixels = np.bincount(part, ends - starts).astype(np.int64)
    along = np.pad((mask if weights is None else weights).cumsum(1, np.float64), ((0, 0), (1, 0)))
    mass = np.bincount(part, along[rows, ends] - along[rows, starts])
    order = np.argsort(part, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(part[order]) > 0])
    low = [np.minimum.reduceat(values[order], first) for values in (starts, rows)]
    high = [np.maximum.reduceat(values[order], first) for values in (ends, rows + 1)]
    return Parts(np.stack([*low, *high], 1), pixels, mass)


def regions(mask: NDArray[np.bool_], map: NDArray[np.float32], most: int) -> list[Region]:
    """The parts of a mask that hang together, also by corners, those with most of the map first.

    Args:
        mask: `h w` booleans.
        map: `h w`; its positive values are weighed.
        most: how many at most.
    """
    positive = np.asarray(map).clip(min=0)
    found, whole = parts(mask, positive), max(float(positive.sum(dtype=np.float64)), 1e-300)
    order = np.argsort(-found.mass, kind="stable")[:most]
    sides = found.boxes[order].T.tolist()
    numbers = zip(*sides, found.pixels[order].tolist(), (found.mass[order] / whole).tolist(), strict=True)
    return [Region(*one) for one in numbers]


def points(map: NDArray[np.float32], most: int = 1, apart: float | None = None) -> list[Point]:
    """The highest pixels of a map that lie at least `apart` pixels from a higher one; only positive values count.

    Args:
        map: `h w`.
        most: how many at most.
        apart: in pixels; by default a tenth of the longer side.
    """
    apart = max(map.shape) / 10 if apart is None else apart
    left, found = np.where(map > 0, map, -np.inf), list[Point]()
    rows, columns = np.ogrid[: map.shape[0], : map.shape[1]]
    while len(found) < most and np.isfinite(left).any():
        row, column = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
        found.append(Point(row, column, float(map[row, column])))
        left[(rows - row) ** 2 + (columns - column) ** 2 < apart**2] = -np.inf
        left[row, column] = -np.inf
    return found


def overlaps(boxes: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of every box with every other, `n 4` and `m 4` → `n m`."""
    one, other = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    both = sides.clip(min=0).prod(-1)
    areas = (one[..., 2:] - one[..., :2]).prod(-1) + (other[..., 2:] - other[..., :2]).prod(-1)
    return both / (areas - both)


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Row, first and last column (excluded) of every unbroken piece of a row, in reading order."""
    steps = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(steps == 1)
    return rows, starts, np.nonzero(steps == -1)[1]


def _joined(rows: NDArray[Any], starts: NDArray[Any], ends: NDArray[Any], width: int) -> NDArray[Any]:
    """The part that each piece belongs to, numbered from 0: pieces of neighbouring rows that touch are one."""
    wide = width + 2
    before = (rows - 1) * wide
    first = np.searchsorted(rows * wide + ends, before + starts, "left")
    count = (np.searchsorted(rows * wide + starts, before + ends, "right") - first).clip(min=0)
    one = np.repeat(np.arange(len(rows)), count)
    other = np.repeat(first - np.r_[0, count.cumsum()[:-1]], count) + np.arange(len(one))
    parent = np.arange(len(rows))
    while len(one):
        np.minimum.at(parent, np.maximum(parent[one], parent[other]), np.minimum(parent[one], parent[other]))
        while (shorter := parent[parent]).tobytes() != parent.tobytes():
            parent = shorter
        open_ = parent[one] != parent[other]
        one, other = one[open_], other[open_]
    return np.unique(parent, return_inverse=True)[1]
