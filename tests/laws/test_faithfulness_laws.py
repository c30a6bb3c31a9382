"""What the metrics of faithfulness and complexity keep to, whatever the map."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sightline.evaluation.base import Question, Value
from sightline.evaluation.table import METRICS
from sightline.images.frame import Frame
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes

SIZE = (6, 5)
# exact in float32, also when multiplied by a small whole number
MAPS = arrays(np.float32, SIZE, elements=st.integers(-1000, 1000).map(lambda number: np.float32(number / 8)))
FEW = settings(max_examples=15, deadline=None)

BY_ORDER = ["pixel-flipping(steps=7)", "sufficiency", "monotonicity(steps=10)"]
BY_REGION = ["region-perturbation(window=2, regions=5)", "irof(regions=grid(rows=3, columns=2))"]
THROUGH = ["average-drop", "average-increase", "average-gain"]
CORRELATED = [
    "faithfulness-correlation(samples=8, subset=6)",
    "mu-fidelity(samples=8, regions=grid(rows=3, columns=3))",
    "sensitivity-n(samples=6, sizes=3)",
    "monotonicity-correlation(samples=2, regions=grid(rows=3, columns=2))",
]
SPREAD = ["gini", "entropy", "effective-size"]
FREE_OF_SCALE = [*BY_ORDER, *BY_REGION, *THROUGH, *CORRELATED, *SPREAD, "infidelity(samples=9)"]
ALL = [*FREE_OF_SCALE, "completeness", "infidelity(samples=9, scale=none)"]
RANGES = {
    "region-perturbation": (-1, 1),
    "irof": (-math.inf, 1),
    "sufficiency": (-1, 1),
    "faithfulness-correlation": (-1, 1),
    "mu-fidelity": (-1, 1),
    "sensitivity-n": (-1, 1),
    "monotonicity-correlation": (-1, 1),
    "entropy": (0, math.log(30) + 1e-9),
    "infidelity": (0, math.inf),
    "completeness": (0, math.inf),
}


def ask(text: str, map: np.ndarray, level: float | None = None) -> Value:
    """The value of a map; of a network that always answers `level`, where it is given."""

    def usual(pixels: torch.Tensor) -> torch.Tensor:
        return torch.stack([3 * pixels[:, 0, 0, 0], pixels.mean((1, 2, 3)) * 3 + pixels[:, 1, 2, 2]], 1)

    def still(pixels: torch.Tensor) -> torch.Tensor:
        return torch.full((len(pixels), 2), level)

    classifier = wrap(
        usual if level is None else still, head="softmax" if level is None else "independent-probabilities"
    )
    question = Question(
        pixels=torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(8)),
        map=map,
        picture_map=map,
        target=Target.of(1),
        frame=Frame.whole(*SIZE),
    )
    return METRICS.make(text)(Passes(classifier), question)


@given(MAPS)
@FEW
def test_every_value_is_in_its_range(map: np.ndarray) -> None:
    for text in ALL:
        low, high = RANGES.get(METRICS.make(text).name, (0, 1))
        assert low - 1e-9 <= ask(text, map).value <= high + 1e-9, text


@given(MAPS, st.integers(2, 50))
@FEW
def test_a_positive_factor_changes_nothing(map: np.ndarray, factor: int) -> None:
    for text in FREE_OF_SCALE:
        one, other = ask(text, map).value, ask(text, map * np.float32(factor)).value
        assert one == pytest.approx(other, rel=1e-6, abs=1e-6), text


@given(MAPS)
@FEW
def test_what_goes_by_order_ignores_an_increasing_function(map: np.ndarray) -> None:
    bent = (np.sign(map) * map.astype(np.float64) ** 2 + map).astype(np.float32)
    for text in BY_ORDER:
        assert ask(text, map).value == ask(text, bent).value


@given(MAPS)
@FEW
def test_a_constant_added_changes_no_correlation_of_sets_of_one_size(map: np.ndarray) -> None:
    for text in ("faithfulness-correlation(samples=8, subset=6)", "sensitivity-n(samples=6, sizes=3)"):
        assert ask(text, map).value == pytest.approx(ask(text, map + np.float32(16)).value, abs=1e-5)


@given(MAPS)
@FEW
def test_the_reverse_of_a_map_has_the_reverse_of_its_correlations(map: np.ndarray) -> None:
    for text in CORRELATED[:3]:
        assert ask(text, map).value == pytest.approx(-ask(text, -map).value, abs=1e-6)
    for text in (*SPREAD, CORRELATED[3], "infidelity(samples=9)"):  # for and against count alike
        assert ask(text, map).value == pytest.approx(ask(text, -map).value, rel=1e-6, abs=1e-6)


@given(MAPS, st.sampled_from([0.25, 0.5, 1.0]))
@FEW
def test_a_network_that_never_moves_loses_and_gains_nothing(map: np.ndarray, level: float) -> None:
    still = {"pixel-flipping(steps=7)": level, "monotonicity(steps=10)": 1.0}
    for text in (*BY_ORDER, *BY_REGION, *THROUGH, *CORRELATED):
        assert ask(text, map, level).value == pytest.approx(still.get(text, 0.0), abs=1e-6), text


@given(MAPS)
@FEW
def test_drop_and_gain_are_never_both(map: np.ndarray) -> None:
    drop, gain, increase = (ask(name, map).value for name in ("average-drop", "average-gain", "average-increase"))
    assert drop == 0 or gain == 0
    assert (gain > 0) == (increase == 1)


@given(MAPS)
@FEW
def test_the_best_scale_is_the_best(map: np.ndarray) -> None:
    best, plain = ask("infidelity(samples=9)", map), ask("infidelity(samples=9, scale=none)", map)
    assert best.value <= plain.value + 1e-9
    assert best.details["unexplained"] <= 1 + 1e-9
    assert plain.value == pytest.approx(best.details["unscaled"])


@given(MAPS)
@FEW
def test_region_perturbation_of_both_orders_is_the_sum(map: np.ndarray) -> None:
    most, least, both = (
        ask(f"region-perturbation(window=2, regions=4, order={order})", map).value
        for order in ("most-relevant-first", "least-relevant-first", "both")
    )
    assert both == pytest.approx(most + least, abs=1e-9)


@given(MAPS, st.integers(0, 29), st.integers(0, 29))
@FEW
def test_taking_from_the_strong_and_giving_to_the_weak_lowers_gini_and_raises_entropy(
    map: np.ndarray, one: int, other: int
) -> None:
    before = np.abs(map.ravel()).astype(np.float64)
    assume(before[one] > before[other])
    after = before.copy()
    after[[one, other]] = (before[one] + before[other]) / 2
    first, second = (values.reshape(SIZE).astype(np.float32) for values in (before, after))
    assert ask("gini", second).value < ask("gini", first).value + 1e-9
    assert ask("entropy", second).value > ask("entropy", first).value - 1e-6


@pytest.mark.parametrize("text", [*BY_ORDER, *BY_REGION, *CORRELATED[:3], *THROUGH[2:], "completeness"])
def test_a_law_can_fail(text: str) -> None:
    """A map and its negative are told apart, so that the laws above are not true of anything at all."""
    maps = np.random.default_rng(2).normal(size=(5, *SIZE)).astype(np.float32)
    assert any(ask(text, map).value != pytest.approx(ask(text, -map).value, abs=1e-6) for map in maps)


@pytest.mark.parametrize("text", [text for text in ALL if "seed" in METRICS.make(text).describe()["fields"]])
def test_a_seed_says_which_draw(text: str) -> None:
    map = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
    other = str(replace(METRICS.make(text), seed=3))  # type: ignore[call-arg]
    assert ask(other, map).value == ask(other, map).value
    assert ask(other, map).value != ask(text, map).value
