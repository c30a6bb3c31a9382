"""Laws of the way back: what lies at a place in the input lies at the same place in the picture, to one pixel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import UsageError
from sightline.images.frame import Frame
from sightline.images.load import Picture, load
from sightline.images.orientation import turn_back, turn_upright
from sightline.images.prepare import Preparation

SIDE = st.integers(1, 150)
INPUT = st.integers(8, 96)


def pictured(height: int, width: int, orientation: int, rgb: np.ndarray | None = None) -> Picture:
    values = np.zeros((height, width, 3), np.uint8) if rgb is None else rgb
    return Picture(values, "drawn", "", orientation)


@st.composite
def preparations(draw: st.DrawFn) -> Preparation:
    resize = draw(st.one_of(st.none(), INPUT, st.tuples(INPUT, INPUT)))
    crop = draw(st.one_of(st.none(), st.tuples(INPUT, INPUT)))
    exif, rounding = draw(st.sampled_from(["ignore", "apply"])), draw(st.sampled_from(["round", "truncate", "floor"]))
    resizer = draw(st.sampled_from(["pillow", "torch"]))
    return Preparation(resize=resize, crop=crop, exif=exif, rounding=rounding, resizer=resizer)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    height, width = draw(st.integers(8, 150)), draw(st.integers(8, 150))
    return draw(preparations()).frame(pictured(height, width, draw(st.integers(1, 8))))


@settings(max_examples=150, deadline=None)
@given(frames(), st.floats(0, 1), st.floats(0, 1))
def test_a_bright_point_of_the_map_lies_at_its_place_in_the_picture(frame: Frame, down: float, across: float) -> None:
    """The heaviest place of the drawn point is within one pixel of where the geometry puts it."""
    row, column = round(down * (frame.input[0] - 1)), round(across * (frame.input[1] - 1))
    point = np.zeros(frame.input, np.float32)
    point[row, column] = 1
    drawn = frame.to_picture(point)
    expected = np.array(frame.point_to_picture(row, column))
    inside = (expected >= 0).all() and (expected <= np.array(frame.picture) - 1).all()
    if not inside or not frame.seen()[tuple(np.rint(expected).astype(int))]:
        return  # the point lies in the border, or in a picture's pixel whose centre is cropped away
    assert drawn.max() > 0
    distances = np.abs(np.argwhere(drawn >= drawn.max() * (1 - 1e-5)) - expected)
    assert distances.max(1).min() <= 1.0
    extent = max(frame.picture) / min(frame.resized)  # at the picture's edge a pixel's value goes on to the edge
    assert distances.max() <= 1.0 + extent / 2


@settings(max_examples=60, deadline=None)
@given(preparations(), st.integers(16, 120), st.integers(16, 120), st.integers(1, 8), st.floats(0, 1), st.floats(0, 1))
def test_a_patch_of_the_picture_is_found_where_it_was_planted(
    preparation: Preparation, height: int, width: int, orientation: int, down: float, across: float
) -> None:
    """Through the pixels: paint a patch, prepare the picture, take the input's brightness back to the picture."""
    top, left = round(down * (height - 8)), round(across * (width - 8))
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[top : top + 8, left : left + 8] = 255
    pixels, frame = preparation.prepare(pictured(height, width, orientation, rgb))
    seen, back = frame.seen(), frame.to_picture(pixels[0, 0].numpy())
    if not seen[top : top + 8, left : left + 8].all():
        return  # cropped away, at least in part
    weights = np.where(back > 0.5 * back.max(), back, 0)
    rows, columns = np.mgrid[:height, :width]
    centre = np.array([(weights * rows).sum(), (weights * columns).sum()]) / weights.sum()
    coarse = max(1.0, 1 / min(frame.resized[0] / back.shape[0], frame.resized[1] / back.shape[1]), 1)
    assert np.abs(centre - (top + 3.5, left + 3.5)).max() <= max(1.0, 0.5 * coarse)


def test_a_crop_that_is_forgotten_would_be_seen() -> None:
    """The broken twin: without the crop's corner the point comes back somewhere else."""
    frame = Preparation(resize=256, crop=(224, 224)).frame(pictured(300, 500, 1))
    broken = dataclasses.replace(frame, left=0)
    point = np.zeros(frame.input, np.float32)
    point[112, 112] = 1
    right, wrong = (np.unravel_index(one.to_picture(point).argmax(), frame.picture) for one in (frame, broken))
    assert np.abs(np.subtract(right, (149.5, 249.5))).max() <= 1
    assert np.abs(np.subtract(wrong, (149.5, 249.5))).max() > 50


@settings(max_examples=100, deadline=None)
@given(frames(), st.floats(-5, 200), st.floats(-5, 200))
def test_points_go_there_and_back(frame: Frame, row: float, column: float) -> None:
    there = frame.point_to_picture(row, column)
    assert np.allclose(frame.point_from_picture(*there), (row, column), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(frames(), st.integers(0, 2**32 - 1))
def test_the_map_agrees_with_a_slow_reading_point_by_point(frame: Frame, seed: int) -> None:
    """The oracle: for every pixel of the picture, weigh the map by a triangle around the place it came from."""
    random = np.random.default_rng(seed)
    values = random.normal(size=frame.input).astype(np.float32)
    drawn, seen = frame.to_picture(values), frame.seen()
    assert drawn.shape == frame.picture
    assert drawn.dtype == np.float32
    for _ in range(10):
        row, column = (int(random.integers(side)) for side in frame.picture)
        expected, inside = slow_reading(frame, values, row, column)
        assert bool(seen[row, column]) == inside
        assert drawn[row, column] == pytest.approx(expected, abs=1e-4)


def slow_reading(frame: Frame, values: np.ndarray, row: int, column: int) -> tuple[float, bool]:
    at = frame.point_from_picture(row, column)
    if any(not -0.5 <= place < side - 0.5 for place, side in zip(at, frame.input, strict=True)):
        return 0.0, False
    neighbour = frame.point_from_picture(row + (1 if frame.turn < 5 else 0), column + (0 if frame.turn < 5 else 1))
    other = frame.point_from_picture(row + (0 if frame.turn < 5 else 1), column + (1 if frame.turn < 5 else 0))
    steps = max(1.0, abs(neighbour[0] - at[0])), max(1.0, abs(other[1] - at[1]))
    total = weight = 0.0
    for i in range(frame.input[0]):
        for j in range(frame.input[1]):
            share = max(0.0, 1 - abs(i - at[0]) / steps[0]) * max(0.0, 1 - abs(j - at[1]) / steps[1])
            total, weight = total + share * float(values[i, j]), weight + share
    return total / weight, True


@settings(max_examples=60, deadline=None)
@given(frames(), st.floats(-3, 3, width=32))
def test_a_constant_map_stays_constant_where_the_network_looked(frame: Frame, value: float) -> None:
    drawn = frame.to_picture(np.full(frame.input, value, np.float32))
    seen = frame.seen()
    assert np.allclose(drawn[seen], value, atol=1e-5)
    assert (drawn[~seen] == 0).all()


@settings(max_examples=60, deadline=None)
@given(frames(), st.data())
def test_a_mask_covers_the_same_place_in_the_input(frame: Frame, data: st.DataObject) -> None:
    tall, wide = (data.draw(st.integers(1, side)) for side in frame.picture)
    top, left = data.draw(st.integers(0, frame.picture[0] - tall)), data.draw(st.integers(0, frame.picture[1] - wide))
    mask = np.zeros(frame.picture, bool)
    mask[top : top + tall, left : left + wide] = True
    there = frame.from_picture(mask)
    assert there.shape == frame.input
    assert there.dtype == bool
    soft = frame.from_picture(mask.astype(np.float32))
    assert soft.dtype == np.float32
    assert np.array_equal(there, soft >= 0.5)
    for row, column in zip(*np.nonzero(there), strict=True):
        back = frame.point_to_picture(float(row), float(column))
        spans = ((top, tall), (left, wide))
        slack = [max(1.0, a / b) for a, b in zip(sorted(frame.picture), sorted(frame.resized), strict=True)]
        assert all(s - max(slack) - 0.5 <= p <= s + n + max(slack) - 0.5 for p, (s, n) in zip(back, spans, strict=True))


@given(SIDE, SIDE, st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_the_identity_gives_the_map_itself(height: int, width: int, orientation: int) -> None:
    values = np.random.default_rng(height).normal(size=(height, width)).astype(np.float32)
    assert np.array_equal(Frame.whole(height, width).to_picture(values), values)
    frame = Preparation().frame(pictured(height, width, orientation))
    stored = np.ascontiguousarray(turn_back(values, orientation))
    assert np.array_equal(frame.to_picture(stored), values)
    assert np.array_equal(frame.from_picture(values), stored)
    assert frame.seen().all()


@given(SIDE, SIDE, st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_turning_is_undone_exactly(height: int, width: int, orientation: int) -> None:
    values = np.arange(height * width).reshape(height, width)
    assert np.array_equal(turn_back(turn_upright(values, orientation), orientation), values)
    assert np.array_equal(turn_upright(turn_back(values, orientation), orientation), values)


def test_what_is_cropped_away_is_not_seen() -> None:
    frame = Preparation(resize=100, crop=(100, 100)).frame(pictured(100, 200, 1))
    seen = frame.seen()
    assert seen[:, 50:150].all()
    assert seen.sum() == 100 * 100
    padded = Preparation(crop=(120, 220)).frame(pictured(100, 200, 1))
    assert padded.seen().all()
    assert (padded.top, padded.left) == (-10, -10)
    assert not padded.from_picture(np.ones((100, 200), bool))[:10].any()


def test_maps_of_another_size_and_broken_maps_are_refused() -> None:
    frame = Preparation(resize=(32, 48)).frame(load_blank())
    with pytest.raises(UsageError, match="48 × 32, expected 32 × 48"):
        frame.to_picture(np.zeros((48, 32), np.float32))
    with pytest.raises(UsageError, match="NaN"):
        frame.to_picture(np.full((32, 48), np.nan, np.float32))
    with pytest.raises(UsageError, match="mask"):
        frame.from_picture(np.zeros((32, 48), bool))


def load_blank() -> Picture:
    return load(np.zeros((64, 80), np.uint8))
