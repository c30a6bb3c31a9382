"""What of a map each window can change: intervals along an axis, grown by every kernel on the way.

All numbers are whole and exact (Nakandala, Kumar, Papakonstantinou, SIGMOD 2019, section 4: the update patch): nothing
that a window may change is ever left out, whatever its effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Slide:
    """How a kernel moves along an axis.

    Attributes:
        extent: cells from the kernel's first to its last, holes counted: dilation · (kernel − 1) + 1.
        stride: cells from one answer to the next.
        before: cells of padding before the first.
    """

    extent: int
    stride: int
    before: int


@dataclass(frozen=True, eq=False)
class Span:
    """The cells of one axis that each of n windows can change: from `low` up to `high`, excluded, of `size` cells."""

    low: Integers
    high: Integers
    size: int

    def slid(self, slide: Slide, size: int) -> Span:
        """The answers of a sliding kernel that see a changed cell."""
        low = -((slide.extent - 1 - slide.before - self.low) // slide.stride)  # ⌈·⌉ as −⌊−·⌋
        high = (self.high - 1 + slide.before) // slide.stride + 1
        return Span(low.clip(0, size), high.clip(0, size), size)

    def joined(self, other: Span) -> Span:
        """The smallest interval that holds both."""
        return Span(np.minimum(self.low, other.low), np.maximum(self.high, other.high), self.size)

    def tile(self, rows: Integers) -> tuple[Integers, int]:
        """Where the tiles of some windows begin, and the one length that is enough for all of them.

        A tile that would stick out is moved inwards: what it holds too much is the same with and without the window.
        """
        length = max(1, int((self.high[rows] - self.low[rows]).max()))
        return self.low[rows].clip(0, self.size - length), length


@dataclass(frozen=True, eq=False)
class Reach:
    """The rectangle of a map that each of n windows can change."""

    down: Span
    across: Span

    def slid(self, down: Slide, across: Slide, size: tuple[int, int]) -> Reach:
        """The same after a kernel has slid over the map; `size` is that of its answer."""
        return Reach(self.down.slid(down, size[0]), self.across.slid(across, size[1]))

    def joined(self, other: Reach) -> Reach:
        """The smallest rectangle that holds both."""
        return Reach(self.down.joined(other.down), self.across.joined(other.across))

    def place(self, rows: Integers) -> Place:
        """Where the tiles of some windows lie."""
        (top, height), (left, width) = self.down.tile(rows), self.across.tile(rows)
        return Place(top, left, height, width)

    @property
    def size(self) -> tuple[int, int]:
        """Of the map."""
        return self.down.size, self.across.size


@dataclass(frozen=True, eq=False)
class Place:
    """Where m rectangles of one size lie on a map: cells of the map, or of its padding where they are negative."""

    top: Integers
    left: Integers
    height: int
    width: int

    @property
    def cells(self) -> int:
        """How many cells one rectangle has."""
        return self.height * self.width

    def like(self, other: Place) -> bool:
        """Whether both are the same rectangles."""
        same = self.height == other.height and self.width == other.width
        return same and np.array_equal(self.top, other.top) and np.array_equal(self.left, other.left)

    def given(self, down: Slide, across: Slide) -> Place:
        """What a sliding kernel must be given to answer at this place."""
        return Place(
            self.top * down.stride - down.before,
            self.left * across.stride - across.before,
            (self.height - 1) * down.stride + down.extent,
            (self.width - 1) * across.stride + across.extent,
        )
