"""Maps turned into masks, boxes and points; and truth given as boxes and polygons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sightline.errors import PictureError, SpecError, UsageError
from sightline.evaluation.masks import Boxes, Polygons, as_boxes, as_mask, masks_for
from sightline.images.shapes import overlaps, parts, points, regions
from sightline.images.thresholds import THRESHOLDS, Fixed, Otsu, Quantile

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def slow_parts(mask: np.ndarray, corners: bool = True) -> list[tuple[int, ...]]:
    """Boxes and sizes by filling from pixel to pixel."""
    left, found = mask.copy(), []
    while left.any():
        open_, part = [tuple(np.argwhere(left)[0])], []
        left[open_[0]] = False
        while open_:
            row, column = open_.pop()
            part.append((row, column))
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    near = (row + down, column + right)
                    inside = 0 <= near[0] < mask.shape[0] and 0 <= near[1] < mask.shape[1]
                    if inside and (corners or 0 in (down, right)) and left[near]:
                        left[near] = False
                        open_.append(near)
        rows, columns = zip(*part, strict=True)
        found.append((min(columns), min(rows), max(columns) + 1, max(rows) + 1, len(part)))
    return sorted(found)


def fast_parts(mask: np.ndarray) -> list[tuple[int, ...]]:
    found = parts(mask)
    return sorted((*box, size) for box, size in zip(found.boxes.tolist(), found.pixels.tolist(), strict=True))


@given(MASKS)
@settings(max_examples=60, deadline=None)
def test_parts_are_those_that_a_filling_finds(mask: np.ndarray) -> None:
    assert fast_parts(mask) == slow_parts(mask)


def test_parts_of_large_noise_are_those_of_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = np.random.default_rng(0).random((150, 201)) < 0.45
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    theirs = sorted(
        (columns.start, rows.start, columns.stop, rows.stop, int((labels[rows, columns] == number + 1).sum()))
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels))
    )
    assert len(theirs) == count > 200
    assert fast_parts(mask) == theirs


def test_a_twin_that_parts_at_corners_is_caught() -> None:
    mask = np.eye(3, dtype=bool)
    assert len(slow_parts(mask, corners=False)) == 3
    assert fast_parts(mask) == [(0, 0, 3, 3, 3)]


def test_regions_come_with_their_share_of_the_map_and_the_largest_first() -> None:
    map = np.zeros((6, 8), np.float32)
    map[0, 0], map[3:5, 4:7], map[5, 0] = 2, 1, -5
    found = regions(map > 0, map, most=5)
    assert [(one.left, one.top, one.right, one.bottom) for one in found] == [(4, 3, 7, 5), (0, 0, 1, 1)]
    assert [one.mass for one in found] == [0.75, 0.25]
    assert [one.pixels for one in found] == [6, 1]
    assert len(regions(map > 0, map, most=1)) == 1
    assert regions(map > 9, map, most=3) == []


@pytest.mark.parametrize("kind", ["even", "two hills", "sparse"])
def test_otsu_is_scikit_images(kind: str) -> None:
    filters = pytest.importorskip("skimage.filters")
    random = np.random.default_rng(1)
    maps = {
        "even": random.random((40, 50)),
        "two hills": np.concatenate([random.normal(1, 0.2, (20, 50)), random.normal(3, 0.5, (20, 50))]),
        "sparse": random.random((40, 50)) ** 8,
    }
    map = maps[kind].clip(min=0).astype(np.float32)
    assert np.array_equal(Otsu().mask(map), map > filters.threshold_otsu(map))


def test_thresholds_take_what_they_say() -> None:
    map = np.arange(-4, 16, dtype=np.float32).reshape(4, 5)
    assert Fixed(share=0.8).mask(map).sum() == 4  # 12 … 15
    assert Quantile(share=0.9).mask(map).sum() == 2
    assert Quantile(share=0.0).mask(map).sum() == 15  # nothing negative, and not 0
    assert not Otsu().mask(np.zeros((3, 3), np.float32)).any()
    assert not Fixed().mask(-np.ones((3, 3), np.float32)).any()
    assert Otsu().mask(np.ones((3, 3), np.float32)).all()
    seen = map < 10
    assert Fixed(share=0.8).mask(map, seen).sum() == 2  # 8 and 9: the maximum is that of what was seen
    assert str(THRESHOLDS.make("fixed(share=0.2)")) == "fixed(share=0.2)"
    with pytest.raises(SpecError, match="from 0 to 1"):
        Fixed(share=2)


@given(arrays(np.float32, (6, 7), elements=st.integers(-8, 8).map(float)), st.sampled_from([Fixed(), Quantile()]))
@settings(max_examples=30, deadline=None)
def test_a_factor_of_two_leaves_a_mask(map: np.ndarray, threshold: Fixed | Quantile) -> None:
    assert np.array_equal(threshold.mask(map), threshold.mask(2 * map))


def test_points_are_the_highest_that_lie_apart() -> None:
    map = np.zeros((20, 30), np.float32)
    map[5, 5], map[5, 6], map[15, 20], map[0, 29] = 9, 8, 7, -3
    assert [(one.row, one.column, one.value) for one in points(map, most=3, apart=3)] == [(5, 5, 9.0), (15, 20, 7.0)]
    assert len(points(map, most=3, apart=1)) == 3
    assert points(np.zeros((4, 4), np.float32)) == []


def test_overlaps_of_boxes() -> None:
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 6], [8, 8, 9, 9]])
    np.testing.assert_allclose(overlaps(boxes, boxes)[0], [1, 4 / 28, 0])


def test_polygons_are_filled_by_the_centres_of_pixels() -> None:
    square = as_mask([(1, 1), (4, 1), (4, 3), (1, 3)], (5, 6))
    assert np.array_equal(square, as_mask((1, 1, 4, 3), (5, 6)))
    path = pytest.importorskip("matplotlib.path")
    random = np.random.default_rng(3)
    corners = random.random((9, 2)) * [30, 20]
    down, right = np.mgrid[:20, :30]
    centres = np.stack([right.ravel() + 0.5, down.ravel() + 0.5], 1)
    crossings = np.zeros(600, int)
    for one, other in zip(corners, np.roll(corners, -1, 0), strict=True):  # even-odd, a point at a time
        for place, (x, y) in enumerate(centres):
            if (one[1] <= y) != (other[1] <= y):
                crossings[place] += x >= one[0] + (y - one[1]) * (other[0] - one[0]) / (other[1] - one[1])
    assert np.array_equal(as_mask(corners, (20, 30)), (crossings % 2 == 1).reshape(20, 30))
    triangle = np.array([[2.2, 3.1], [25.7, 5.3], [11.4, 18.6]])
    theirs = path.Path(np.vstack([triangle, triangle[:1]])).contains_points(centres).reshape(20, 30)
    assert np.array_equal(as_mask(triangle, (20, 30)), theirs)


def test_several_boxes_and_polygons_are_one_mask() -> None:
    boxes = Boxes([(0, 0, 2, 2), (4, 1, 6, 3)])
    mask = as_mask(boxes, (4, 8))
    assert mask is not None
    assert mask.sum() == 8
    assert as_boxes(boxes) == [[0, 0, 2, 2], [4, 1, 6, 3]]
    assert as_boxes(mask) == []
    several = as_mask(Polygons([[(0, 0), (2, 0), (2, 2), (0, 2)], [(4, 1), (6, 1), (6, 3), (4, 3)]]), (4, 8))
    assert np.array_equal(several, mask)
    outline = [(0, 0), (3, 0), (0, 3)]
    assert masks_for(outline, 3) == [outline] * 3  # corners, and no mask for each of three maps
    assert masks_for([boxes, None], 2) == [boxes, None]


@pytest.mark.parametrize(
    "wrong", [Boxes([]), Boxes([(1, 2, 3)]), Polygons([[(0, 0), (1, 1)]]), Boxes([(5, 5, 4, 6)]), "no-such-file.png"]
)
def test_truth_that_cannot_be_taken_is_refused(wrong: object) -> None:
    with pytest.raises((UsageError, PictureError), match=r"box|polygon|no-such"):
        as_mask(wrong, (10, 10))
