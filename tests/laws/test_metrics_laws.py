"""What every metric keeps to, whatever the map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sightline.evaluation.base import Metric, Question
from sightline.evaluation.table import METRICS
from sightline.images.frame import Frame
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes

SIZE = (6, 5)
# exact in float32, also when multiplied by a small whole number
VALUES = st.integers(-1000, 1000).map(lambda number: np.float32(number / 8))
MAPS = arrays(np.float32, SIZE, elements=VALUES)
MASKS = arrays(bool, SIZE)
# the others have laws in files of their own: test_faithfulness_laws.py, test_localisation_laws.py …
ALL = [METRICS.make(name) for name in ("deletion", "insertion", "road", "pointing-game", "relevance-mass")]
RANGES = {"road": (-0.5, 0.5)}
AREAS = [METRICS.make("deletion(steps=7)"), METRICS.make("insertion(steps=7)")]


def ask(metric: Metric, map: np.ndarray, mask: np.ndarray | None = None, score: object = None) -> float:
    function = score or (lambda pixels: torch.stack([pixels[:, 0, 0, 0], pixels.mean((1, 2, 3)) * 3], 1))
    classifier = wrap(function, head="softmax" if score is None else "independent-probabilities")  # type: ignore[arg-type]
    question = Question(
        pixels=torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)),
        map=map,
        picture_map=map,
        target=Target.of(1),
        frame=Frame.whole(*SIZE),
        mask=mask,
    )
    return metric(Passes(classifier), question).value


@given(MAPS, MASKS)
@settings(max_examples=25, deadline=None)
def test_every_value_is_in_its_range(map: np.ndarray, mask: np.ndarray) -> None:
    assume(mask.any())
    for metric in ALL:
        low, high = RANGES.get(metric.name, (0, 1))
        assert low <= ask(metric, map, mask) <= high


@given(MAPS, MASKS, st.integers(1, 50))
@settings(max_examples=25, deadline=None)
def test_a_positive_factor_changes_nothing(map: np.ndarray, mask: np.ndarray, factor: int) -> None:
    assume(mask.any())
    for metric in ALL:
        one, other = ask(metric, map, mask), ask(metric, map * np.float32(factor), mask)
        assert one == (pytest.approx(other, abs=1e-12) if metric.name == "relevance-mass" else other)


@given(MAPS, MASKS)
@settings(max_examples=25, deadline=None)
def test_what_goes_by_order_ignores_an_increasing_function(map: np.ndarray, mask: np.ndarray) -> None:
    assume(mask.any())
    bent = (np.sign(map) * map.astype(np.float64) ** 2 + map).astype(np.float32)
    for name in ("deletion", "insertion", "pointing-game"):
        assert ask(METRICS.make(name), map, mask) == ask(METRICS.make(name), bent, mask)


@given(MAPS, st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_a_probability_that_never_moves_is_the_area(map: np.ndarray, level: float) -> None:
    for metric in AREAS:
        found = ask(metric, map, score=lambda pixels: torch.full((len(pixels), 2), level))
        assert found == pytest.approx(level, abs=1e-6)
        assert ask(metric, map, score=lambda pixels: torch.ones(len(pixels), 2)) == 1


@given(MAPS, st.sampled_from([1, 2, 3, 5, 6, 10, 15, 30]))
@settings(max_examples=15, deadline=None)
def test_a_linear_ramp_is_a_half(map: np.ndarray, steps: int) -> None:
    """A probability that is the share of pixels still there; so it is 1/2 whenever the steps are all of one size."""
    pixels = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))

    def share(shown: torch.Tensor) -> torch.Tensor:
        left = (shown == pixels).all(1).float().mean((1, 2))
        return torch.stack([1 - left, left], dim=1)

    for name in ("deletion", "insertion"):
        assert ask(METRICS.make(f"{name}(steps={steps}, base=white)"), map, score=share) == pytest.approx(0.5, abs=1e-6)


@given(MAPS, MASKS)
@settings(max_examples=25, deadline=None)
def test_the_shares_of_the_object_and_of_the_rest_are_all(map: np.ndarray, mask: np.ndarray) -> None:
    assume(mask.any() and not mask.all() and map.max() > 0)
    metric = METRICS.make("relevance-mass")
    assert ask(metric, map, mask) + ask(metric, map, ~mask) == pytest.approx(1)


@given(MAPS, MASKS, MASKS)
@settings(max_examples=25, deadline=None)
def test_a_larger_object_never_lowers_a_value(map: np.ndarray, mask: np.ndarray, more: np.ndarray) -> None:
    assume(mask.any())
    for name in ("pointing-game(tolerance=1.5)", "relevance-mass"):
        assert ask(METRICS.make(name), map, mask | more) >= ask(METRICS.make(name), map, mask) - 1e-12


@pytest.mark.parametrize("name", [metric.name for metric in ALL])
def test_a_law_can_fail(name: str) -> None:
    """A map and its negative are told apart by every metric, so that the laws above are not true of anything at all."""
    map = np.arange(30, dtype=np.float32).reshape(SIZE) - 14.5
    mask = map > 5
    metric = METRICS.make("pointing-game(tolerance=1)" if name == "pointing-game" else name)
    assert ask(metric, map, mask) != ask(metric, -map, mask)
