"""Networks of several inputs, outputs of every make, and the user's own scores: each equal to asking by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import sightline
from sightline.errors import ModelError
from sightline.models.classifier import wrap
from sightline.models.outputs import scores_of
from sightline.models.questions import region, similarity
from sightline.testing.networks import Plain, seeded
from sightline.testing.state import State

PIXELS = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
AGE = torch.tensor([[0.3, -0.7]])
METHODS = ["gradient(channels=sum)", "grad-cam", "occlusion(window=8, stride=8)", "guided-backpropagation", "lrp"]


class Several(nn.Module):
    """A picture and two numbers, which change what the picture means."""

    def __init__(self, first: bool = True) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.tensor(0.5))
        self.body, self.age, self.first = Plain(), nn.Linear(2, 4), first

    def forward(self, one: torch.Tensor, two: torch.Tensor, *, gain: float = 1.0) -> torch.Tensor:
        picture, age = (one, two) if self.first else (two, one)
        scores: torch.Tensor = gain * self.token * self.body(picture) + self.age(age)
        return scores


class Given(nn.Module):
    """The same with its further inputs built in."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(picture, AGE.expand(len(picture), -1), gain=2.0)
        return scores


@pytest.mark.parametrize(
    ("first", "held"),
    [
        (True, {"two": AGE, "gain": 2.0}),
        (False, {"one": AGE, "gain": 2.0}),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_further_inputs_are_held(first: bool, held: dict[str, Any], method: str) -> None:
    network = seeded(lambda: Several(first))()
    if not first:
        held = {"two": ..., **held}
    found = sightline.explain(wrap(network, held=held), list(PIXELS), [method], target=1)
    same = sightline.explain(Given(seeded(lambda: Several(True))()), list(PIXELS), [method], target=1)
    assert [one.layer for one in found] == [one.layer and one.layer.removeprefix("inner.") for one in same]
    for one, other in zip(found, same, strict=True):
        assert np.abs(other.map).max() > 0
        assert np.allclose(one.map, other.map, atol=1e-6 * np.abs(other.map).max())


def test_further_inputs_by_position() -> None:
    network = seeded(lambda: Several(False))()
    with torch.no_grad():
        own = network(AGE.expand(2, -1), PIXELS)
        assert torch.equal(wrap(network, held=(AGE, ...)).raw_scores(PIXELS), own)
        after = wrap(seeded(lambda: Several(True))(), held=(AGE,)).raw_scores(PIXELS)
        assert torch.equal(after, own)
        function = wrap(lambda one, two: one.mean((2, 3)) + two.sum(), held=(AGE,))
        assert torch.allclose(function.raw_scores(PIXELS), PIXELS.mean((2, 3)) + 2 * AGE.sum())


def test_other_held_inputs_give_another_map() -> None:
    network = seeded(lambda: nn.Bilinear(3, 2, 4))()

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = network

        def forward(self, picture: torch.Tensor, age: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.mix(picture.mean((2, 3)), age)
            return scores

    mixed = Mixed()
    maps = [
        sightline.explain(wrap(mixed, held=(age,)), PIXELS[0], "occlusion(window=8, stride=8)", target=0).map
        for age in (AGE, -AGE)
    ]
    assert not np.allclose(maps[0], maps[1])
    assert np.allclose(maps[0], sightline.explain(wrap(mixed, held=(AGE,)), PIXELS[0], "occlusion(window=8, stride=8)",
                                                  target=0).map)  # fmt: skip


def test_many_windows_are_asked_with_what_is_held() -> None:
    """Windows in part and compiled programs work on the graph of the network as it is asked."""
    classifier = wrap(seeded(lambda: Several(True))(), held={"two": AGE, "gain": 2.0})
    spec = "occlusion(window=4, stride=2)"
    ways = [sightline.explain(classifier, PIXELS[0], spec, target=1, runtime=word) for word in ("auto", "eager")]
    assert np.allclose(ways[0].map, ways[1].map, atol=1e-5)


def test_the_network_is_left_as_it_was_and_keeps_its_names() -> None:
    network = seeded(lambda: Several(True))()
    before = State.of(network, PIXELS)
    classifier = wrap(network, held=(AGE,))
    found = sightline.explain(classifier, PIXELS[0], ["grad-cam(layer=body.relu1)", "gradient"])
    assert found[0].layer == "body.relu1"
    assert State.of(network, PIXELS).changes(before) == []
    assert {name for name, _ in network.named_parameters()} == {
        name for name, _ in classifier.network.named_parameters()
    }
    again = copy.deepcopy(classifier.network)
    with torch.no_grad():
        assert torch.equal(again(PIXELS), classifier.network(PIXELS))
    assert classifier.network.state_dict().keys() == network.state_dict().keys()


# Outputs


@dataclass
class Answer:
    """A dataclass that a network returns."""

    loss: torch.Tensor
    boxes: torch.Tensor
    cls: torch.Tensor


class Packed(Plain):
    def __init__(self, pack: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.pack = pack

    def forward(self, x: torch.Tensor) -> Any:
        return self.pack(super().forward(x))


PACKS: dict[str, tuple[Callable[[torch.Tensor], Any], str | int]] = {
    "dataclass": (lambda scores: Answer(scores.sum(), scores[:, :1] * 7, scores), "cls"),
    "dictionary": (lambda scores: {"aux": scores * 3, "main": scores}, "main"),
    "tuple": (lambda scores: (scores * 3, scores), 1),
}


@pytest.mark.parametrize("kind", PACKS)
def test_the_output_that_is_named(kind: str) -> None:
    pack, output = PACKS[kind]
    plain = sightline.explain(seeded(Plain)(), PIXELS[0], METHODS, target=2)
    found = sightline.explain(wrap(seeded(lambda: Packed(pack))(), output=output), PIXELS[0], METHODS, target=2)
    for one, other in zip(found, plain, strict=True):
        assert np.allclose(one.map, other.map, atol=1e-6)
    for wrong in ("not_there", 9):
        with pytest.raises(ModelError, match=rf"no output {wrong!r}: it gives a "):
            wrap(seeded(lambda: Packed(pack))(), output=wrong).raw_scores(PIXELS)


def test_a_dataclass_is_found_without_a_name() -> None:
    network = seeded(lambda: Packed(lambda scores: Answer(scores.sum(), scores.new_zeros(7, 4), scores)))()
    with torch.no_grad():
        assert torch.equal(wrap(network).raw_scores(PIXELS), seeded(Plain)()(PIXELS))


def test_temperature_divides_the_logits() -> None:
    network = seeded(Plain)()
    one, other = (sightline.explain(wrap(network, temperature=t), PIXELS[0], "gradient") for t in (1.0, 4.0))
    assert other.target.score == pytest.approx(one.target.score / 4, rel=1e-5)
    with torch.no_grad():
        scores = network.eval()(PIXELS[:1])
    assert other.target.probability == pytest.approx(float((scores / 4).softmax(1).max()), rel=1e-5)
    for wrong in (0, -1):
        with pytest.raises(ModelError, match="temperature is above 0"):
            wrap(network, temperature=wrong)


@pytest.mark.parametrize("end", [nn.Softmax(1), nn.Sigmoid(), nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())])
@pytest.mark.parametrize("method", ["gradient", "occlusion(window=8, stride=8)"])
def test_a_temperature_of_probabilities_is_refused(end: nn.Module, method: str) -> None:
    network = nn.Sequential(seeded(Plain)(), end)
    with pytest.raises(ModelError, match="divides logits, and this network gives probabilities"):
        sightline.explain(wrap(network, temperature=2), PIXELS[0], method)
    with pytest.raises(ModelError, match="divides logits"):
        wrap(wrap(network, head="probabilities"), temperature=2)


def test_a_temperature_is_told() -> None:
    found = sightline.explain(wrap(wrap(seeded(Plain)()), temperature=2), PIXELS[0], "gradient")
    assert "the logits are divided by a temperature of 2" in found.warnings


def test_what_is_given_with_a_classifier_goes_before_what_it_says() -> None:
    made = wrap(seeded(Plain)(), labels=["a", "b", "c", "d"], preparation="squash 8", head="softmax")
    other = wrap(made, labels=list("wxyz"), preparation="squash 16", head="sigmoid", name="mine", gradients=False)
    assert (other.labels, other.head, other.name, other.gradients) == (tuple("wxyz"), "sigmoid", "mine", False)
    assert other.preparation is not None
    assert other.preparation.resize == (16, 16)
    assert wrap(made) is made
    with pytest.raises(ModelError, match="unknown head"):
        wrap(made, head="sofmax")
    scored = wrap(made, scores=lambda out: {"one": out[:, 0]})
    assert (scored.head, scored.labels) == ("sigmoid", None)


# The user's own scores


def by_hand(network: nn.Module, score: Callable[[Any], torch.Tensor]) -> np.ndarray:
    """The gradient of a scalar, summed over channels."""
    leaf = PIXELS[:1].clone().requires_grad_()
    return torch.autograd.grad(score(network.eval()(leaf)).sum(), leaf)[0].sum(1)[0].numpy()


class Segments(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 3, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self.head(self.relu(self.conv(x)))}


def test_a_region_of_a_segmentation() -> None:
    network = seeded(Segments)()
    mask = np.zeros((16, 24), bool)
    mask[4:12, 6:18] = True
    classifier = wrap(network, output="out", scores=region(mask, ["road", "car", "sky"]))
    assert classifier.labels == ("road", "car", "sky")
    found = sightline.explain(classifier, PIXELS[0], ["gradient(channels=sum)", "grad-cam"], target="car")
    own = by_hand(network, lambda output: output["out"][:, 1, 2:6, 3:9].mean())
    assert np.allclose(found[0].map, own, atol=1e-6)
    assert found[1].layer in ("relu", "conv", "head")
    with pytest.raises(ModelError, match="something inside"):
        region(np.zeros((4, 4)))
    with pytest.raises(ModelError, match="b k h w"):
        wrap(network, scores=region(mask)).raw_scores(PIXELS)


class Detector(nn.Module):
    """Boxes and scores of classes for each picture, as lists of dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Plain(classes=6)

    def forward(self, x: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        scores = self.body(x).sigmoid().reshape(len(x), 3, 2)
        return [{"boxes": torch.zeros(3, 4), "scores": one} for one in scores]


def test_a_box_of_a_detector() -> None:
    network = seeded(Detector)()

    def box(output: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        return {"second box is a cat": torch.stack([one["scores"][1, 0] for one in output])}

    classifier = wrap(network, scores=box, labels=["second box is a cat"], head="independent-probabilities")
    found = sightline.explain(classifier, PIXELS[0], ["gradient(channels=sum)", "occlusion(window=8, stride=8)"])
    assert found[0].target.label == "second box is a cat"
    assert np.allclose(found[0].map, by_hand(network, lambda out: out[0]["scores"][1, 0]), atol=1e-6)
    with torch.no_grad():
        assert found[1].target.probability == pytest.approx(float(network(PIXELS[:1])[0]["scores"][1, 0]), abs=1e-5)


def test_a_similarity_of_embeddings() -> None:
    encoder = seeded(Plain)()
    references = {"mine": torch.tensor([1.0, 2, 0, -1]), "other": torch.tensor([0.0, 1, 1, 0])}
    classifier = wrap(encoder, scores=similarity(references))
    assert (classifier.labels, classifier.head) == (("mine", "other"), "sigmoid")
    found = sightline.explain(classifier, PIXELS[0], ["gradient(channels=sum)", "grad-cam"], target="mine")
    own = by_hand(encoder, lambda e: functional.cosine_similarity(e, references["mine"][None]))
    assert np.allclose(found[0].map, own, atol=1e-6)
    with pytest.raises(ModelError, match="an embedding has 3 numbers"):
        wrap(encoder, scores=similarity(torch.ones(2, 3))).raw_scores(PIXELS)


def test_one_score_of_its_own_is_one_score() -> None:
    found = sightline.explain(wrap(seeded(Plain)(), scores=lambda out: out[:, 2] - 3), PIXELS[0], "gradient")
    assert found.target.index == 0
    assert found.target.score < 0


def test_ways_that_cannot_be_asked_are_refused() -> None:
    network = seeded(Plain)()
    for options, says in (
        ({"held": AGE}, "dictionary of names"),
        ({"held": (..., AGE, ...)}, "one place for the picture"),
    ):
        with pytest.raises(ModelError, match=says):
            wrap(network, **options)
    with pytest.raises(ModelError, match="fails on pixels"):
        sightline.explain(wrap(network, held={"age": AGE}), PIXELS[0], "gradient")
    with pytest.raises(ModelError, match="one number a picture each"):
        wrap(network, scores=lambda out: {"a": out}).raw_scores(PIXELS)


def test_scores_among_other_outputs_are_found_or_asked_for() -> None:
    """One name of several is known, one of several fits, or the user has to say; a loss is never taken for a score."""
    scores, features, loss = torch.rand(1, 4), torch.rand(1, 9), torch.zeros(())
    for output in (
        {"features": features, "logits": scores}, {"loss": loss, "classes": scores},
        {"map": torch.rand(1, 4, 8, 8), "classes": scores}, {"classes": scores, "also": scores},
    ):  # fmt: skip
        assert torch.equal(scores_of(output, 1), scores)
    assert torch.equal(scores_of({"loss": loss}, 1), torch.zeros(1, 1))
    assert torch.equal(scores_of((scores, features), 1), scores)
    with pytest.raises(ModelError, match=r"could be its scores \(features 1×9, classes 1×4\).*output="):
        scores_of({"features": features, "classes": scores}, 1)
    with pytest.raises(ModelError, match=r"could be its scores \(age 1×1, classes 1×4\)"):
        scores_of({"age": torch.rand(1), "classes": scores}, 1)
