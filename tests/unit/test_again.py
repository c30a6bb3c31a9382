"""Explaining again: the same map bit for bit, counted, in the map's own precision, refused for maps of other tools."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sightline.attribution.result import Attribution
from sightline.errors import UsageError
from sightline.evaluation.again import Given, clean_map, maps_of
from sightline.evaluation.base import Question
from sightline.evaluation.evaluate import evaluate
from sightline.evaluation.result import Judgement
from sightline.evaluation.subject import of_attribution
from sightline.evaluation.table import METRICS
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.runs.explain import explain
from sightline.types import Count
from small import picture, seeded

AGAIN = [name for name, cls in METRICS.items() if cls.traits.needs_method]


class Net(nn.Module):
    """Batch normalisation, dropout, a residual branch: what an explainer could disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(pixels)).relu()
        x = (x + self.second(x)).relu()
        return self.head(self.drop(x.mean((2, 3))))


def network() -> nn.Module:
    return seeded(Net())


def question_of(given: Attribution, **changes: Any) -> Question:
    subject = of_attribution(given)
    fields: dict[str, Any] = {name: getattr(subject, name) for name in ("pixels", "map", "picture_map", "frame")}
    fields |= {"target": Target.of(given.target.index), "method": subject.method, "precision": subject.precision}
    return Question(**(fields | changes))


def explained(model: Any, method: str, **more: Any) -> Attribution:
    found = explain(model, picture(32, 40), method, target=2, **more)
    assert isinstance(found, Attribution)
    return found


METHODS = [
    "gradient",
    "grad-cam",
    "grad-cam(layer=second)",
    "guided-backpropagation",
    "smooth-grad(of=layer-cam, samples=3, seed=7)",
    "fused-cam",
    "rise(samples=40, seed=3)",
    "occlusion(window=16, stride=16)",
    "integrated-gradients(steps=4)",
    "lrp",
]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_pixels_give_the_same_map_bit_for_bit(method: str) -> None:
    model = network()
    given = explained(model, method)
    found, warnings = clean_map(Passes(model), question_of(given))
    assert np.array_equal(found.numpy(), given.map)
    assert warnings == ()


def test_it_is_in_the_precision_of_the_map_and_counted_where_it_was_asked() -> None:
    model = network()
    given = explained(model, "gradient", precision="fast")
    passes = Passes(model)
    found, _ = clean_map(passes, question_of(given))
    assert np.array_equal(found.numpy(), given.map)
    assert passes.count == Count(forward=1, backward=1)
    other, _ = clean_map(Passes(model), question_of(given, precision="float32"))
    assert not np.array_equal(other.numpy(), given.map)


def test_a_map_of_another_network_is_told() -> None:
    given = explained(network(), "gradient")
    other = network()
    with torch.no_grad():
        other.get_parameter("head.weight").mul_(-1.0)
    _, warnings = clean_map(Passes(other), question_of(given))
    assert "made again" in warnings[0]


@pytest.mark.parametrize("memory", [None, 200_000])
def test_many_versions_are_explained_together_and_as_alone(memory: int | None) -> None:
    model = network()
    given = explained(model, "grad-cam")
    versions = picture(32, 40, pictures=20)
    passes = Passes(model, memory=memory)
    found = maps_of(passes, question_of(given), Given(versions))
    alone = [explain(model, one[None], "grad-cam", target=2) for one in versions]
    for map, single in zip(found, alone, strict=True):
        assert isinstance(single, Attribution)
        np.testing.assert_allclose(map.numpy(), single.map, atol=1e-6)
    assert passes.count == Count(forward=20, backward=20)


def test_the_layer_that_was_looked_at_is_kept() -> None:
    given = explained(network(), "grad-cam")
    assert str(of_attribution(given).method) == f"grad-cam(layer={given.layer})"
    fused = explained(network(), "fused-cam")
    assert fused.layer is not None
    assert of_attribution(fused).method.layers == tuple(fused.layer.split(", "))  # type: ignore[union-attr]


@pytest.mark.parametrize("name", AGAIN)
def test_a_map_of_another_tool_cannot_be_made_again(name: str) -> None:
    with pytest.raises(UsageError, match="explains again"):
        evaluate(network(), np.ones((32, 40)), name, picture=picture(32, 40), target=1)


@pytest.mark.parametrize("name", AGAIN)
def test_the_network_is_left_as_it_was_and_random_numbers_too(name: str) -> None:
    model = network().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    given = explained(model, "grad-cam")
    asks, state = {one.requires_grad for one in model.parameters()}, torch.random.get_rng_state()
    first = evaluate(model, given, name)
    second = evaluate(model, given, name)
    assert isinstance(first, Judgement)
    assert isinstance(second, Judgement)
    assert first.value == second.value
    assert first.details == second.details
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert {one.requires_grad for one in model.parameters()} == asks
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.passes.forward >= 2
    assert first.passes.backward >= 1


@pytest.mark.parametrize("name", AGAIN)
def test_each_of_them_has_a_value_without_gradients_too(name: str) -> None:
    """Perturbation methods of a plain function; those that draw parameters anew refuse it by name."""
    classifier = wrap(lambda pixels: torch.stack([pixels[:, 0].mean((1, 2)), pixels[:, 1].amax((1, 2))], 1))
    given = explain(classifier, picture(20, 20), "occlusion(window=10, stride=10)", target=1)
    assert isinstance(given, Attribution)
    if "parameter" in name:
        with pytest.raises(Exception, match="is a function"):
            evaluate(classifier, given, name)
    else:
        found = evaluate(classifier, given, name)
        assert isinstance(found, Judgement)
        assert np.isfinite(found.value)


def test_under_inference_mode_it_is_the_same() -> None:
    model = network()
    given = explained(model, "gradient")
    outside = evaluate(model, given, "parameter-randomisation(stages=3)")
    with torch.inference_mode():
        inside = evaluate(model, given, "parameter-randomisation(stages=3)")
    assert isinstance(outside, Judgement)
    assert isinstance(inside, Judgement)
    assert inside.value == outside.value


def test_what_several_metrics_need_is_made_once() -> None:
    """The map made again, and the maps of the same pictures nearby; another radius is asked for by itself."""
    model = network()
    given = explained(model, "grad-cam")
    names = ["max-sensitivity", "average-sensitivity", "stability(changes=jpeg)", "average-sensitivity(radius=0.1)"]
    together = evaluate(model, given, names)
    assert isinstance(together, list)
    assert [one.passes for one in together] == [
        Count(1 + 11, 11),  # the clean pass that every metric counts; the map again and ten pictures nearby
        Count(1, 0),
        Count(1 + 2, 1),  # one picture: its score and its map
        Count(1 + 10, 10),
    ]
    for name, one in zip(names, together, strict=True):
        alone = evaluate(model, given, name)
        assert isinstance(alone, Judgement)
        assert alone.value == one.value
    question, passes = question_of(given), Passes(model)
    first, _ = clean_map(passes, question)
    assert clean_map(passes, question)[0] is first
    assert clean_map(Passes(model), question)[0] is not first  # another network may stand behind other passes
    assert replace(question, pixels=question.pixels + 1).kept == {}


def test_a_question_without_a_precision_takes_that_of_the_passes() -> None:
    model = network()
    given = explained(model, "gradient")
    asked = replace(question_of(given), precision=None)
    assert np.array_equal(clean_map(Passes(model), asked)[0].numpy(), given.map)
