"""The measures of complexity against plain loops, and what they must say of maps that are plain to see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sightline.evaluation.base import Metric, Question, Value
from sightline.evaluation.complexity.effective_size import EffectiveSize
from sightline.evaluation.complexity.entropy import Entropy
from sightline.evaluation.complexity.gini import Gini
from sightline.images.frame import Frame
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes


def judge(metric: Metric, map: np.ndarray) -> Value:
    def never(pixels: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a measure of complexity asks the network nothing")

    map = np.asarray(map, np.float32)
    question = Question(
        pixels=torch.zeros(1, 3, *map.shape),
        map=map,
        picture_map=map,
        target=Target.of(0),
        frame=Frame.whole(*map.shape),
    )
    return metric(Passes(wrap(never)), question)


def maps() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    signed = random.normal(size=(6, 7))
    return [signed, signed.clip(min=0), signed.round(), np.ones((6, 7)), -signed * 1e-20, signed * 1e20]


@pytest.mark.parametrize("place", range(6))
def test_all_three_are_plain_loops(place: int) -> None:
    map = np.float32(maps()[place])
    values = sorted(abs(float(value)) for value in map.ravel())
    count, total = len(values), sum(values)
    gini = sum((2 * i - count - 1) * value for i, value in enumerate(values, 1)) / (count * total)
    entropy = -sum(value / total * math.log(value / total) for value in values if value > 0)
    assert judge(Gini(), map).value == pytest.approx(gini, abs=1e-6)
    assert judge(Entropy(), map).value == pytest.approx(entropy, abs=1e-6)
    above = sum(value > 0.25 * values[-1] for value in values)
    found = judge(EffectiveSize(above=0.25), map)
    assert found.details["pixels"] == above
    assert found.value == above / count


def test_the_mean_difference_is_the_gini() -> None:
    values = np.abs(maps()[0].ravel())
    mean_difference = np.abs(values[:, None] - values[None]).mean()
    assert judge(Gini(), maps()[0]).value == pytest.approx(mean_difference / (2 * values.mean()), abs=1e-6)


def test_known_answers() -> None:
    one = np.zeros((5, 8))
    one[2, 3] = -7
    assert judge(Gini(), one).value == pytest.approx(1 - 1 / 40)
    assert judge(Entropy(), one).value == 0
    assert judge(EffectiveSize(), one).value == 1 / 40
    even = np.full((5, 8), 0.3)
    assert judge(Gini(), even).value == pytest.approx(0, abs=1e-12)
    assert judge(Entropy(), even).value == pytest.approx(math.log(40))
    assert judge(Entropy(), even).details["pixels"] == pytest.approx(40)
    assert judge(EffectiveSize(), even).value == 1
    assert (
        judge(EffectiveSize(above=0.5), np.array([[1.0, 0.5], [-0.6, 0]])).value == 0.5
    )  # half of it is not above half
    half = even * (np.arange(8) < 4)
    assert judge(Gini(), half).value == pytest.approx(0.5)
    assert judge(Entropy(), half).value == pytest.approx(math.log(20))
    assert judge(EffectiveSize(), half).value == 0.5


@pytest.mark.parametrize("metric", [Gini(), Entropy(), EffectiveSize()])
def test_a_map_of_zeros_is_told(metric: Metric) -> None:
    found = judge(metric, np.zeros((4, 4)))
    assert found.value == 0
    assert "0 everywhere" in found.warnings[0]


def test_a_twin_without_absolute_values_is_caught() -> None:
    values = np.sort(maps()[0].ravel())
    places = np.arange(1, values.size + 1)
    twin = (2 * places - values.size - 1) @ values / (values.size * values.sum())
    assert abs(twin - judge(Gini(), maps()[0]).value) > 0.1
