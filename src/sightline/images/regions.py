"""Rectangles over a picture: sliding windows, a grid, and the map that their values make together.

A box is (top, left, bottom, right) in pixels of the network's input, bottom and right not included. Windows are
numbered row by row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from sightline.errors import UsageError

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Windows:
    """`boxes`: int64 `n 4` (top, left, bottom, right), `rows` × `columns` of them, row by row."""

    boxes: torch.Tensor
    rows: int
    columns: int

    def __len__(self) -> int:
        return int(self.boxes.shape[0])

    def grid(self, values: torch.Tensor) -> torch.Tensor:
        """Values `… n` as `… rows columns`."""
        return values.unflatten(-1, (self.rows, self.columns))


def sliding_windows(height: int, width: int, window: int | Pair, stride: int | Pair) -> Windows:
    """Windows from the top left corner on, so many that every pixel is covered.

    Along an axis of D pixels there are max(0, ⌈(D − window) / stride⌉) + 1 windows; the last is cut off at the border
    (the rule of Captum's `Occlusion`). A window larger than the picture covers it once.

    Raises:
        UsageError: a stride larger than its window, which would leave pixels uncovered, or a size below 1.
    """
    (tall, wide), (down, across) = _pair(window, "window"), _pair(stride, "stride")
    _check_picture(height, width)
    tops, bottoms = _spans(height, tall, down)
    lefts, rights = _spans(width, wide, across)
    return _product(tops, bottoms, lefts, rights)


def grid(height: int, width: int, rows: int, columns: int) -> Windows:
    """`rows` × `columns` boxes that do not overlap and cover the picture; their sides differ by one pixel at most.

    Raises:
        UsageError: more rows or columns than pixels.
    """
    _check_picture(height, width)
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise UsageError(f"a grid of {rows} × {columns} does not fit a picture of {height} × {width} pixels")
    down = torch.arange(rows + 1) * height // rows
    across = torch.arange(columns + 1) * width // columns
    return _product(down[:-1], down[1:], across[:-1], across[1:])


def coverage(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """How many boxes cover each pixel, int64 `h w`."""
    ones = torch.ones(1, boxes.shape[0], dtype=torch.float64, device=boxes.device)
    return _sum_over_boxes(ones, boxes, height, width)[0].round().to(torch.int64)


def spread(values: torch.Tensor, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Values `n b` of n boxes as maps, float32 `b h w`: each pixel gets the mean of the boxes that cover it, else 0.

    Differences at the corners of the boxes and two cumulative sums, in float64: the cost does not grow with the size of
    the boxes (F. C. Crow, "Summed-area tables for texture mapping", SIGGRAPH 1984, read backwards).
    """
    if values.ndim != 2 or values.shape[0] != boxes.shape[0]:
        raise UsageError(f"spread takes values n b for {boxes.shape[0]} boxes, got {tuple(values.shape)}")
    sums = _sum_over_boxes(values.T.to(boxes.device, torch.float64), boxes, height, width)
    counts = coverage(boxes, height, width)
    return torch.where(counts > 0, sums / counts.clamp(min=1), 0.0).to(torch.float32)


def _sum_over_boxes(values: torch.Tensor, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """`b n` float64 → `b h w`: at each pixel the sum over the boxes that cover it."""
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UsageError(f"boxes are n 4 (top, left, bottom, right), got {tuple(boxes.shape)}")
    limit = torch.tensor([height, width, height, width], device=boxes.device)
    top, left, bottom, right = boxes.clamp(min=0).minimum(limit).unbind(1)
    edge = width + 1
    differences = torch.zeros(values.shape[0], (height + 1) * edge, dtype=torch.float64, device=boxes.device)
    for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        differences.index_add_(1, rows * edge + columns, values, alpha=sign)
    return differences.unflatten(1, (height + 1, edge)).cumsum(1).cumsum(2)[:, :height, :width]


def _spans(size: int, window: int, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    if stride > window:
        raise UsageError(
            f"a stride of {stride} leaves gaps between windows of {window}: the stride is at most the window"
        )
    starts = torch.arange(max(0, math.ceil((size - window) / stride)) + 1) * stride
    return starts, (starts + window).clamp(max=size)


def _product(tops: torch.Tensor, bottoms: torch.Tensor, lefts: torch.Tensor, rights: torch.Tensor) -> Windows:
    rows, columns = len(tops), len(lefts)
    down = torch.stack([tops, bottoms], 1).repeat_interleave(columns, 0)
    across = torch.stack([lefts, rights], 1).repeat(rows, 1)
    boxes = torch.stack([down[:, 0], across[:, 0], down[:, 1], across[:, 1]], 1)
    return Windows(boxes, rows, columns)


def _pair(value: int | Pair, name: str) -> Pair:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(not isinstance(side, int) or isinstance(side, bool) or side < 1 for side in pair):
        raise UsageError(f"{name} is a whole number above 0, or two of them (rows, columns), got {value!r}")
    return pair[0], pair[1]


def _check_picture(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise UsageError(f"a picture has at least one pixel, got {height} × {width}")
