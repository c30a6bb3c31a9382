"""Outlines of boxes and masks: closed lines through points in parts of a picture's width and height."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Loops: TypeAlias = tuple[tuple[tuple[float, float], ...], ...]
"""Closed lines; each point is (x, y), 0 on the picture's left and upper side and 1 on the right and lower one."""

WHOLE = 1000
_EDGE = 4
"""How far an outline stays away from the picture's border, which would cut its line in half."""
_FINEST, _MOST_STEPS = 192, 4000
"""Cells of the longer side when an outline is drawn, and straight lines of it: dust is drawn in fewer."""


def loops_of_boxes(boxes: Sequence[Sequence[float]], size: tuple[int, int]) -> Loops:
    """Boxes (left, top, right, bottom) in pixels of a picture of this (height, width)."""
    height, width = size
    found = []
    for left, top, right, bottom in boxes:
        (west, east), (north, south) = (left / width, right / width), (top / height, bottom / height)
        found.append(((west, north), (east, north), (east, south), (west, south)))
    return tuple(found)


def loops_of_mask(mask: NDArray[np.bool_]) -> Loops:
    """The borders of a mask `h w`, holes included; none for an empty mask."""
    longest = _FINEST
    while True:
        cells = _in_cells(mask, longest)
        loops, (rows, columns) = _loops(cells), cells.shape
        if longest <= 8 or sum(map(len, loops)) <= _MOST_STEPS:
            return tuple(tuple((column / columns, row / rows) for row, column in loop) for loop in loops)
        longest //= 2


def path(loops: Loops) -> str:
    """Outlines as the path of an SVG, in thousandths of a picture's width and height.

    It fits the picture at any size: `viewBox="0 0 1000 1000" preserveAspectRatio="none"`, with a stroke that does not
    scale.
    """
    points = ([f"{_place(x)} {_place(y)}" for x, y in loop] for loop in loops)
    return "".join(f"M{'L'.join(one)}Z" for one in points)


def _place(part: float) -> int:
    return min(max(round(part * WHOLE), _EDGE), WHOLE - _EDGE)


def _in_cells(mask: NDArray[np.bool_], longest: int) -> NDArray[np.bool_]:
    """The mask in fewer cells, each true where any of its pixels is, so that nothing small is lost."""
    rows, columns = (_starts(side, max(mask.shape), longest) for side in mask.shape)
    return np.logical_or.reduceat(np.logical_or.reduceat(mask, rows, axis=0), columns, axis=1)


def _starts(side: int, longer: int, longest: int) -> NDArray[np.intp]:
    many = max(1, round(side * min(1.0, longest / longer)))
    return np.linspace(0, side, many, endpoint=False).astype(np.intp)


def _loops(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """The corners (row, column) of each border, walked with the mask on the right."""
    wide = np.pad(mask.astype(np.int8), 1)
    ahead: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def add(starts: NDArray[Any], step: tuple[int, int], off: tuple[int, int]) -> None:
        for row, column in starts.tolist():
            at = row + off[0], column + off[1]
            ahead.setdefault(at, []).append((at[0] + step[0], at[1] + step[1]))

    down, right = np.diff(wide, axis=0)[:, 1:-1], np.diff(wide, axis=1)[1:-1]
    add(np.argwhere(down == 1), (0, 1), (0, 0))  # the mask lies below: walk to the right
    add(np.argwhere(down == -1), (0, -1), (0, 1))
    add(np.argwhere(right == -1), (1, 0), (0, 0))  # it lies on the left: walk down
    add(np.argwhere(right == 1), (-1, 0), (1, 0))
    loops = []
    while ahead:
        start = next(iter(ahead))
        loop, at = [start], _next(ahead, start)
        while at != start:
            loop.append(at)
            at = _next(ahead, at)
        loops.append(_corners(loop))
    return loops


def _next(ahead: dict[tuple[int, int], list[tuple[int, int]]], at: tuple[int, int]) -> tuple[int, int]:
    after = ahead[at].pop()
    if not ahead[at]:
        del ahead[at]
    return after


def _corners(loop: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without the points where the way goes straight on."""
    around = zip(loop[-1:] + loop[:-1], loop, loop[1:] + loop[:1], strict=True)
    return [at for before, at, after in around if at[0] - before[0] != after[0] - at[0]]
