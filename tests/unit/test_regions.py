"""Regions: Captum's rule for windows, and the fast overlap average against a slow one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import UsageError
from sightline.images.regions import coverage, grid, sliding_windows, spread

SIDES = st.integers(1, 40)


def slow_spread(
    values: torch.Tensor, boxes: torch.Tensor, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    sums, counts = torch.zeros(values.shape[1], height, width, dtype=torch.float64), torch.zeros(height, width)
    for value, (top, left, bottom, right) in zip(values, boxes.tolist(), strict=True):
        sums[:, top:bottom, left:right] += value.to(torch.float64)[:, None, None]
        counts[top:bottom, left:right] += 1
    return sums / counts.clamp(min=1), counts


@settings(max_examples=100, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.data())
def test_windows_cover_every_pixel_and_are_as_many_as_captum_says(
    height: int, width: int, tall: int, wide: int, data: st.DataObject
) -> None:
    down, across = data.draw(st.integers(1, tall)), data.draw(st.integers(1, wide))
    windows = sliding_windows(height, width, (tall, wide), (down, across))
    assert windows.rows == max(0, math.ceil((height - tall) / down)) + 1
    assert windows.columns == max(0, math.ceil((width - wide) / across)) + 1
    assert len(windows) == windows.rows * windows.columns
    top, left, bottom, right = windows.boxes.unbind(1)
    assert top.min() == 0
    assert left.min() == 0
    assert bottom.max() == height
    assert right.max() == width
    assert (bottom > top).all()
    assert (right > left).all()
    assert (coverage(windows.boxes, height, width) >= 1).all()
    first_of_second_row = windows.boxes[windows.columns] if windows.rows > 1 else None
    assert first_of_second_row is None or first_of_second_row[:2].tolist() == [down, 0]
    assert windows.grid(torch.arange(len(windows))).shape == (windows.rows, windows.columns)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.data())
def test_spread_agrees_with_a_slow_average(height: int, width: int, data: st.DataObject) -> None:
    tall, wide = data.draw(st.integers(1, 45)), data.draw(st.integers(1, 45))
    stride = data.draw(st.integers(1, min(tall, wide)))
    boxes = sliding_windows(height, width, (tall, wide), stride).boxes
    values = torch.randn(len(boxes), 3, generator=torch.Generator().manual_seed(height))
    expected, counts = slow_spread(values, boxes, height, width)
    drawn = spread(values, boxes, height, width)
    assert drawn.dtype == torch.float32
    assert torch.allclose(drawn.double(), expected, atol=1e-6)
    assert torch.equal(coverage(boxes, height, width), counts.long())


def test_spread_keeps_small_values_beside_large_ones() -> None:
    boxes = sliding_windows(224, 224, 8, 8).boxes
    values = torch.full((len(boxes), 1), 1e-6)
    values[0] = 1e6
    drawn = spread(values, boxes, 224, 224)
    assert drawn[0, 0, 0] == 1e6
    assert torch.allclose(drawn[0, 200, 200], torch.tensor(1e-6), rtol=1e-3)


def test_pixels_that_no_box_covers_are_zero() -> None:
    boxes = torch.tensor([[1, 1, 3, 3]])
    drawn = spread(torch.tensor([[5.0]]), boxes, 4, 4)
    assert drawn[0, 1:3, 1:3].eq(5).all()
    assert drawn.sum() == 20


def test_windows_agree_with_captum() -> None:
    """A linear network: the drop of a window is its sum, so the overlap average can be compared with Captum's map."""
    attr = pytest.importorskip("captum.attr")
    pixels = torch.rand(1, 1, 11, 13, generator=torch.Generator().manual_seed(0))
    theirs = attr.Occlusion(lambda x: x.sum((1, 2, 3))).attribute(
        pixels, sliding_window_shapes=(1, 4, 5), strides=(1, 3, 2), baselines=0
    )
    boxes = sliding_windows(11, 13, (4, 5), (3, 2)).boxes
    drops = torch.stack([pixels[0, 0, y0:y1, x0:x1].sum() for y0, x0, y1, x1 in boxes.tolist()])
    assert torch.allclose(spread(drops[:, None], boxes, 11, 13), theirs[0], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.data())
def test_a_grid_covers_every_pixel_once(height: int, width: int, data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    boxes = grid(height, width, rows, columns).boxes
    assert len(boxes) == rows * columns
    assert (coverage(boxes, height, width) == 1).all()
    for sides in (boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]):
        assert sides.max() - sides.min() <= 1


def test_wrong_windows_are_refused() -> None:
    for window, stride, word in ((4, 5, "gaps"), (0, 1, "above 0"), (4, 0, "above 0"), ((4, 4, 4), 1, "two of them")):
        with pytest.raises(UsageError, match=word):
            sliding_windows(16, 16, window, stride)
    with pytest.raises(UsageError, match="at least one pixel"):
        sliding_windows(0, 16, 4, 4)
    with pytest.raises(UsageError, match="does not fit"):
        grid(4, 4, 5, 1)
    boxes = sliding_windows(16, 16, 4, 4).boxes
    with pytest.raises(UsageError, match="16 boxes"):
        spread(torch.zeros(15, 1), boxes, 16, 16)
    with pytest.raises(UsageError, match="n 4"):
        coverage(boxes[:, :3], 16, 16)
