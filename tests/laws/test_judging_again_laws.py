"""What metrics that explain again keep to, whatever the picture and the network."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sightline.attribution.result import Attribution
from sightline.evaluation.evaluate import evaluate
from sightline.evaluation.result import Judgement
from sightline.runs.explain import explain
from small import picture, seeded

SEEDS = st.integers(0, 10_000)
BOUNDED = ["stability", "parameter-randomisation(stages=2)", "random-logit(classes=2)"]
FEW = ["max-sensitivity(samples=3)", "average-sensitivity(samples=3)", "local-lipschitz(samples=3)", "input-invariance"]


def network(seed: int) -> nn.Module:
    body = [nn.Conv2d(3, 5, 3, padding=1), nn.Tanh(), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return seeded(nn.Sequential(*body, nn.Tanh(), nn.Linear(20, 4)), seed)


def louder(model: nn.Module, factor: float) -> nn.Module:
    """The same network with all scores times a factor: every map of a gradient is, too."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.get_submodule("6").parameters():
            parameter.mul_(factor)
    return other


def values(model: nn.Module, seed: int, metrics: list[str]) -> list[float]:
    found = explain(model, picture(12, 13, seed=seed), "input-times-gradient", target=1)
    assert isinstance(found, Attribution)
    judged = evaluate(model, found, metrics)
    assert isinstance(judged, list)
    assert all(isinstance(one, Judgement) for one in judged)
    return [one.value for one in judged]


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_values_are_in_their_ranges_and_the_largest_is_not_below_the_mean(seed: int) -> None:
    assert all(-1 - 1e-9 <= value <= 1 + 1e-9 for value in values(network(seed), seed, BOUNDED))
    largest, mean, steepest, invariance = values(network(seed), seed, FEW)
    assert 0 <= mean <= largest
    assert min(steepest, invariance) >= 0


@given(SEEDS, st.sampled_from([0.5, 8]))
@settings(max_examples=8, deadline=None)
def test_how_large_a_map_is_does_not_matter(seed: int, factor: float) -> None:
    model = network(seed)
    metrics = [*FEW, "stability", "random-logit(classes=2)"]
    one, other = values(model, seed, metrics), values(louder(model, factor), seed, metrics)
    assert other == pytest.approx(one, rel=1e-2, abs=1e-3)
    raw = ["local-lipschitz(samples=3, relative=false)"]
    assert values(louder(model, factor), seed, raw)[0] == pytest.approx(
        factor * values(model, seed, raw)[0], rel=1e-2
    )  # the paper's own number grows with the map: what the law above would miss in a twin without division


@given(SEEDS)
@settings(max_examples=6, deadline=None)
def test_a_seed_gives_one_value_and_another_seed_another(seed: int) -> None:
    model = network(seed)
    names = ["average-sensitivity(samples=3, seed={})", "parameter-randomisation(stages=2, seed={})"]
    first, again, other = (values(model, seed, [name.format(number) for name in names]) for number in (1, 1, 2))
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))
