"""How alike two maps are: the numbers of scipy and scikit-image, and what holds for any two maps."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sightline.evaluation.similarity import Similarity, similarities, similarity

KINDS = list(get_args(Similarity))
SHAPES = [(64, 90), (50, 49), (224, 224)]


def pair(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    one = random.normal(size=shape).round(2)
    return one, one + 0.8 * random.normal(size=shape)


def scaled(map: np.ndarray) -> np.ndarray:
    """Adebayo's: |map| cut off at its 99th percentile, from 0 to 1."""
    strength = np.abs(map)
    return np.clip((strength - strength.min()) / (np.percentile(strength, 99) - strength.min()), 0, 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_numbers_are_those_of_scipy_and_scikit_image(shape: tuple[int, int]) -> None:
    stats = pytest.importorskip("scipy.stats")
    metrics, feature = pytest.importorskip("skimage.metrics"), pytest.importorskip("skimage.feature")
    one, other = pair(shape)
    assert similarity(one, other, "spearman") == pytest.approx(stats.spearmanr(one.ravel(), other.ravel())[0])
    magnitudes = stats.spearmanr(np.abs(one).ravel(), np.abs(other).ravel())[0]
    assert similarity(one, other, "absolute-spearman") == pytest.approx(magnitudes)
    a, b = scaled(one), scaled(other)
    ssim = metrics.structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0
    )
    assert similarity(one, other, "ssim") == pytest.approx(ssim, abs=1e-9)
    theirs = np.corrcoef(feature.hog(a, pixels_per_cell=(16, 16)), feature.hog(b, pixels_per_cell=(16, 16)))[0, 1]
    assert similarity(one, other, "hog") == pytest.approx(theirs, abs=1e-5)
    assert len({round(similarity(one, other, kind), 3) for kind in KINDS}) == len(KINDS)  # none stands for another


def test_spearman_by_counting() -> None:
    one, other = np.array([[1.0, 2.0, 2.0], [5.0, 4.0, -1.0]]), np.array([[3.0, 1.0, 2.0], [9.0, 9.0, 9.0]])
    places = []
    for map in (one, other):
        flat = map.ravel()
        places.append([sum(x < y for x in flat) + (sum(x == y for x in flat) - 1) / 2 for y in flat])
    assert similarity(one, other, "spearman") == pytest.approx(np.corrcoef(*places)[0, 1])


MAPS = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=20), elements=st.integers(-9, 9))


@given(MAPS, st.sampled_from([0.5, 4]))
@example(np.array([[1, -1], [-1, -1]], np.float32), 0.5)  # one strength, two signs
@settings(max_examples=40, deadline=None)
def test_laws(map: np.ndarray, factor: float) -> None:
    other = map[::-1, ::-1]
    for kind in KINDS:
        assert similarity(map, map, kind) == pytest.approx(1, abs=1e-6)
        assert similarity(map, other, kind) == pytest.approx(similarity(other, map, kind), abs=1e-9)
        assert similarity(map, other, kind) == pytest.approx(similarity(map * factor, other, kind), abs=1e-5)
        assert -1 - 1e-9 <= similarity(map, other, kind) <= 1 + 1e-9
    if map.min() < map.max():
        assert similarity(map, -map, "spearman") == pytest.approx(-1)
        assert similarity(map, -map, "cosine") == pytest.approx(-1)


def test_a_flat_map_is_like_nothing_but_another_flat_one() -> None:
    flat, map = np.ones((30, 30)), np.random.default_rng(0).random((30, 30))
    for kind in KINDS:
        assert similarity(flat, map, kind) == 0
        assert similarities(flat, [flat * 3, map], kind) == [1, 0]
