"""The eight ways a camera can hold a picture (EXIF tag 274), as array operations that can be undone exactly.

A picture is *stored* as the sensor wrote it and *upright* as a person sees it. Each of the eight orientations is
"swap rows and columns, or not; then mirror the rows, or not; then mirror the columns, or not".

Source: CIPA DC-008 (Exif 2.32), section 4.6.4 A, tag Orientation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# orientation: (swap rows and columns, mirror the rows, mirror the columns), in this order, from stored to upright
_STEPS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def turn_upright(array: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """`h w …` as stored → `h w …` upright (a view)."""
    swap, rows, columns = _STEPS[orientation]
    turned = array.swapaxes(0, 1) if swap else array
    return turned[:: -1 if rows else 1, :: -1 if columns else 1]


def turn_back(array: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """`h w …` upright → `h w …` as stored (a view): the inverse of `turn_upright`."""
    swap, rows, columns = _STEPS[orientation]
    mirrored = array[:: -1 if rows else 1, :: -1 if columns else 1]
    return mirrored.swapaxes(0, 1) if swap else mirrored


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(height, width) after turning either way: swapped for orientations 5 to 8."""
    return (size[1], size[0]) if _STEPS[orientation][0] else size


def point_upright(row: float, column: float, orientation: int, upright: tuple[int, int]) -> tuple[float, float]:
    """A point of the stored picture in the upright picture of size `upright`; pixel centres are whole numbers."""
    swap, rows, columns = _STEPS[orientation]
    row, column = (column, row) if swap else (row, column)
    return (upright[0] - 1 - row if rows else row), (upright[1] - 1 - column if columns else column)


def point_back(row: float, column: float, orientation: int, upright: tuple[int, int]) -> tuple[float, float]:
    """The inverse of `point_upright`."""
    swap, rows, columns = _STEPS[orientation]
    row = upright[0] - 1 - row if rows else row
    column = upright[1] - 1 - column if columns else column
    return (column, row) if swap else (row, column)
