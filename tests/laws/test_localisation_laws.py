"""What every metric of localisation keeps to, whatever the map and the object."""

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

SIZE = (7, 6)
# exact in float32, also when multiplied by a power of two
VALUES = st.integers(-1000, 1000).map(lambda number: np.float32(number / 8))
MAPS = arrays(np.float32, SIZE, elements=VALUES)
MASKS = arrays(bool, SIZE)
ALL = [METRICS.make(name) for name, cls in METRICS.items() if cls.traits.family == "localisation"]
BY_ORDER = [METRICS.make(name) for name in ("relevance-rank", "top-k(k=9)", "auc", "pointing-game(tolerance=1)")]


def ask(metric: Metric, map: np.ndarray, mask: np.ndarray) -> float:
    question = Question(
        pixels=torch.zeros(1, 3, *SIZE),
        map=map,
        picture_map=map,
        target=Target.of(1),
        frame=Frame.whole(*SIZE),
        mask=mask,
    )
    return metric(Passes(wrap(lambda pixels: pixels.mean((2, 3)), head="softmax")), question).value


@given(MAPS, MASKS)
@settings(max_examples=30, deadline=None)
def test_every_value_is_in_its_range(map: np.ndarray, mask: np.ndarray) -> None:
    assume(mask.any() and not mask.all())
    for metric in ALL:
        assert 0 <= ask(metric, map, mask) <= 1


@given(MAPS, MASKS, st.sampled_from([0.25, 2, 64]))
@settings(max_examples=30, deadline=None)
def test_a_positive_factor_changes_nothing(map: np.ndarray, mask: np.ndarray, factor: float) -> None:
    assume(mask.any() and not mask.all())
    for metric in ALL:
        assert ask(metric, map, mask) == pytest.approx(ask(metric, map * np.float32(factor), mask), abs=1e-12)


@given(MAPS, MASKS)
@settings(max_examples=30, deadline=None)
def test_what_goes_by_order_ignores_an_increasing_function(map: np.ndarray, mask: np.ndarray) -> None:
    assume(mask.any() and not mask.all())
    bent = (np.sign(map) * map.astype(np.float64) ** 2 + map).astype(np.float32)
    for metric in BY_ORDER:
        assert ask(metric, map, mask) == ask(metric, bent, mask)


@given(MAPS, MASKS)
@settings(max_examples=30, deadline=None)
def test_turned_round_the_auc_is_the_rest(map: np.ndarray, mask: np.ndarray) -> None:
    assume(mask.any() and not mask.all())
    auc = METRICS.make("auc")
    assert ask(auc, map, mask) + ask(auc, -map, mask) == pytest.approx(1)
    assert ask(auc, map, mask) + ask(auc, map, ~mask) == pytest.approx(1)


@given(MAPS, MASKS)
@settings(max_examples=20, deadline=None)
def test_the_object_itself_as_a_map_gets_the_best_value(map: np.ndarray, mask: np.ndarray) -> None:
    assume(mask.any() and not mask.all())
    for metric in ALL:
        best = min(1.0, mask.sum() / min(1000, mask.size)) if metric.name == "top-k" else 1.0
        assert ask(metric, mask.astype(np.float32), mask) == pytest.approx(best)
        assert ask(metric, map, mask) <= best + 1e-12


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_shares_by_rank_of_the_object_and_of_the_rest_are_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    map, mask = random.normal(size=SIZE).astype(np.float32), random.random(SIZE) < 0.4
    assume(mask.any() and not mask.all())
    top = METRICS.make("top-k(k=9)")
    assert ask(top, map, mask) + ask(top, map, ~mask) == pytest.approx(1)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_law_can_fail(metric: Metric) -> None:
    map = np.arange(42, dtype=np.float32).reshape(SIZE) - 20.5
    mask = map > 9
    if metric.name == "top-k":
        metric = METRICS.make("top-k(k=9)")
    if metric.name == "pointing-game":
        metric = METRICS.make("pointing-game(tolerance=1)")
    assert ask(metric, map, mask) != ask(metric, -map, mask)
