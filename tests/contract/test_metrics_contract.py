"""Every metric of the table, on the networks, pictures and maps that nobody had in mind when it was written."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline import evaluate, explain, wrap
from sightline.attribution.result import Attribution
from sightline.errors import NonFiniteError, SightlineError, UsageError
from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.masks import Boxes
from sightline.evaluation.result import Judgement
from sightline.evaluation.table import METRICS
from sightline.models.classifier import Classifier
from sightline.passes.passes import Passes
from small import seeded

HEIGHT, WIDTH = 28, 40  # neither square nor a multiple of a window
FEW = 1 << 18  # bytes: some pictures at a time
OBJECT = Boxes(boxes=[(8, 4, 26, 18)])
NAMES = list(METRICS)
EXPLAINING = [name for name in NAMES if METRICS.make(name).traits.needs_method]
JUDGING = [name for name in NAMES if name not in EXPLAINING]
KINDS: dict[str, tuple[int, int, str, tuple[str, ...]]] = {
    "four classes": (3, 4, "auto", ("ant", "bee", "cat", "dog")),
    "two classes": (3, 2, "auto", ("no", "yes")),
    "one channel": (1, 4, "auto", ("ant", "bee", "cat", "dog")),
    "one logit": (3, 1, "auto", ("bell",)),
    "labels by themselves": (3, 4, "sigmoid", ("ant", "bee", "cat", "dog")),
}
"""Channels, scores, head, names."""


class Net(nn.Module):
    """Two convolutions and a mean: small, and with normalisation, strides and rectifiers."""

    def __init__(self, channels: int, scores: int) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second, self.head = nn.Conv2d(6, 8, 3, padding=1, stride=2), nn.Linear(8, scores)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        seen = self.second(self.norm(self.first(pixels)).relu()).relu()
        return 12 * self.head(seen.mean((2, 3)))


def classifier(kind: str) -> Classifier:
    channels, scores, head, labels = KINDS[kind]
    return wrap(seeded(Net(channels, scores)).eval(), labels=labels, head=head)


def picture(kind: str, seed: int = 0) -> torch.Tensor:
    chance = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, KINDS[kind][0], 7, 10), generator=chance)
    return functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear")[0]


def made(kind: str, seed: int = 0) -> Attribution:
    found = explain(classifier(kind), picture(kind, seed), "gradient")
    assert isinstance(found, Attribution)
    return found


def judged(name: str, kind: str, map: Any = None, *, seed: int = 0, **options: Any) -> Judgement:
    """The metric on the map of a gradient, given as another tool gives it where that can be judged."""
    own, metric = made(kind, seed), METRICS.make(name)
    options = {"mask": OBJECT, **options} if metric.traits.needs_mask else options
    if metric.traits.needs_method and map is None:
        found = evaluate(classifier(kind), own, metric, **options)
    else:
        options = {"picture": picture(kind, seed), "target": own.target.index, **options}
        found = evaluate(classifier(kind), own.map.copy() if map is None else map, metric, **options)
    assert isinstance(found, Judgement)
    return found


def values(shape: tuple[int, ...] = (HEIGHT, WIDTH)) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_value_is_a_number_and_the_same_again(name: str, kind: str) -> None:
    found = judged(name, kind)
    assert np.isfinite(found.value)
    assert found.value == judged(name, kind).value


@pytest.mark.parametrize("name", NAMES)
def test_neither_batches_nor_neighbours_nor_words_change_a_value(name: str) -> None:
    kind = "four classes"
    alone = [judged(name, kind, seed=seed) for seed in range(3)]
    assert judged(name, kind, memory=FEW).value == pytest.approx(alone[0].value, abs=1e-5)
    assert judged(name, kind, runtime="eager").value == pytest.approx(alone[0].value, abs=1e-5)
    maps, metric = [made(kind, seed) for seed in range(3)], METRICS.make(name)
    together = evaluate(classifier(kind), maps, [metric], mask=OBJECT if metric.traits.needs_mask else None)
    assert isinstance(together, list)
    assert [one.value for one in together] == pytest.approx([one.value for one in alone], abs=1e-5)
    if name in JUDGING:
        named = judged(name, kind, target=maps[0].target.label)
        assert named.value == pytest.approx(alone[0].value, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_fewer_bits_give_a_number_too(name: str) -> None:
    assert np.isfinite(judged(name, "four classes", precision="fast").value)


def wrong_maps() -> dict[str, tuple[Any, type[SightlineError], str]]:
    holes = values()
    holes[3, 5] = np.nan
    return {
        "a row too few": (values((HEIGHT - 1, WIDTH)), UsageError, "28 × 40"),
        "turned": (values((WIDTH, HEIGHT)), UsageError, "when it is transposed"),
        "holes": (holes, NonFiniteError, "NaN or infinity"),
        "without end": (np.where(np.isnan(holes), np.inf, holes), NonFiniteError, "NaN or infinity"),
        "two at once": (values((2, HEIGHT, WIDTH)), UsageError, "several maps as a list"),
        "channels": (values((3, HEIGHT, WIDTH)), UsageError, "sum over the channels"),
    }


@pytest.mark.parametrize("wrong", wrong_maps())
@pytest.mark.parametrize("name", JUDGING)
def test_a_map_that_cannot_be_judged_is_refused(name: str, wrong: str) -> None:
    map, error, said = wrong_maps()[wrong]
    with pytest.raises(error, match=said):
        judged(name, "four classes", map)


@pytest.mark.parametrize("name", JUDGING)
def test_odd_maps_have_a_value_and_flat_ones_are_told(name: str) -> None:
    kind = "four classes"
    for odd in (-np.abs(values()), np.abs(values()) > 1, values().astype(np.float64), values() * 1e-30):
        assert np.isfinite(judged(name, kind, odd).value)
    for flat in (np.zeros((HEIGHT, WIDTH)), np.full((HEIGHT, WIDTH), 0.3)):
        found = judged(name, kind, flat)
        assert np.isfinite(found.value)
        assert found.warnings


@pytest.mark.parametrize("name", EXPLAINING)
def test_what_explains_again_refuses_a_map_of_another_tool(name: str) -> None:
    with pytest.raises(UsageError, match="explains again"):
        judged(name, "four classes", values())


@pytest.mark.parametrize("name", [name for name in NAMES if METRICS.make(name).traits.needs_mask])
def test_what_needs_the_object_asks_for_it(name: str) -> None:
    with pytest.raises(UsageError, match="where the object is"):
        judged(name, "four classes", mask=None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("name", ["deletion", "max-sensitivity"])
def test_a_device_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(SightlineError, match="cuda"):
        judged(name, "four classes", device="cuda")


class ByBatch(Metric):
    """A twin that counts how often it was asked: its value depends on its neighbours."""

    traits = MetricTraits(family="test", better="higher", range="any", cost="none", paper="")
    calls: ClassVar[list[int]] = []

    def measure(self, passes: Passes, question: Question) -> Value:
        self.calls.append(1)
        return Value(value=float(len(self.calls)))


def test_a_twin_is_caught() -> None:
    alone, again = (judged_by(ByBatch()) for _ in range(2))
    assert alone != again


def judged_by(metric: Metric) -> float:
    found = evaluate(classifier("four classes"), made("four classes"), metric)
    assert isinstance(found, Judgement)
    return found.value
