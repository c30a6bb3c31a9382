"""The doctor: every illness that is planted is found and named, and a healthy network has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.table import METHODS
from sightline.cli.main import main
from sightline.demo.scenes import PICTURES, render
from sightline.doctor.examine import examine
from sightline.doctor.findings import Examination, Finding
from sightline.doctor.preparing import preparation
from sightline.doctor.slopes import gradients
from sightline.doctor.trusting import trusted
from sightline.doctor.verdict import Facts
from sightline.doctor.verdict import verdict as answer_to
from sightline.errors import UsageError
from sightline.models.catalogue import load
from sightline.models.classifier import Classifier, wrap
from sightline.models.intake import prepare
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.testing import check_on_network
from sightline.testing.state import State

SCENES = [render(PICTURES[name]).image for name in list(PICTURES)[:6]]
SIZE = 16


class Body(nn.Module):
    """A small network whose illnesses are switched on by name."""

    def __init__(self, ill: str = "") -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, track_running_stats=ill != "batch")
            self.head, self.unused = nn.Linear(6, 5), nn.Linear(2, 2)
        self.ill = ill
        self.eval()
        if ill == "training":
            self.norm.train()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.ill == "writes":
            pixels.mul_(0.5)
        scores = self.head(self.norm(self.conv(pixels)).relu().mean((2, 3)))
        if self.ill == "random":
            return functional.dropout(scores, 0.5, training=True)
        if self.ill == "dead":
            return scores * 0 + torch.arange(5.0)
        if self.ill == "rounded":
            return scores.round(decimals=3) + scores.detach()
        if self.ill == "alike":
            return scores * 1e-3
        if self.ill == "saturated":
            return scores * 1e4
        return scores * float("nan") if self.ill == "nan" else scores


def pixels() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random((3, SIZE, SIZE)).astype(np.float32) for _ in range(4)]


def examined(ill: str) -> Examination:
    return examine(wrap(Body(ill)), pixels(), [])


def finding(found: Examination, check: str) -> Finding:
    return next(one for one in found.findings if one.check == check)


@pytest.mark.parametrize(
    ("ill", "check", "verdict", "said"),
    [
        ("", "evaluation mode", "ok", "was left in training mode"),
        ("training", "evaluation mode", "care", "1 layers were left in training mode: norm"),
        ("random", "the same answer twice", "wrong", "other scores"),
        ("random", "the same alone and in a batch", "not asked", "random"),
        ("batch", "the same alone and in a batch", "care", "picture by picture"),
        ("dead", "the scores are alive", "wrong", "the same scores"),
        ("saturated", "the scores are alive", "care", "every top probability"),
        ("alike", "the scores are alive", "care", "4 pictures are answered almost alike"),
        ("rounded", "gradients at the pixels", "wrong", "0 everywhere for 4 of 4"),
        ("nan", "scores", "wrong", "NaN"),
        ("", "gradients at the layers", "care", "unused"),
        ("", "gradients at the pixels", "ok", "come through"),
    ],
)
def test_every_planted_illness_is_found(ill: str, check: str, verdict: str, said: str) -> None:
    one = finding(examined(ill), check)
    assert one.verdict == verdict
    assert said in one.words
    assert bool(one.advice) == (verdict in ("care", "wrong"))


def test_a_flat_map_of_a_perturbation_is_not_sent_to_perturbations() -> None:
    facts = Facts(broken=(), kept=8, flat=2, pictures=2, likely=1.0)
    trust, _, advice = answer_to(METHODS.make("occlusion"), facts)
    assert trust == "do not trust"
    assert "score=logit" in advice
    assert "occlusion" in answer_to(METHODS.make("gradient"), facts)[2]


def test_a_healthy_network_is_told_so_and_left_as_it_was() -> None:
    network = Body("training")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = examine(wrap(network), pixels(), [])
    assert found.healthy  # something to know is no illness
    assert network.norm.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(one.requires_grad and one.grad is None for one in network.parameters())
    assert json.dumps(found.record(), allow_nan=False)


def test_a_function_is_examined_as_far_as_it_goes() -> None:
    found = examine(wrap(lambda given: given.mean((2, 3)) * 30), pixels(), [METHODS.make("grad-cam")])
    assert finding(found, "evaluation mode").verdict == "not asked"
    assert finding(found, "gradients").verdict == "not asked"
    assert found.methods[0].trust == "refused"
    with pytest.raises(UsageError, match="two pictures or more"):
        examine(wrap(Body()), pixels()[:1], [])


class Colours(nn.Module):
    """Sure of pictures of one colour with values from 0 to 1, and of nothing else."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        means = pixels.mean((2, 3))
        known = (means.amax(1) < 1) & (means.amax(1) - means.amin(1) > 0.25)
        return functional.pad(60 * known[:, None] * means, (0, 9))


def test_a_wrong_preparation_is_found_and_the_right_one_named() -> None:
    scenes = [np.full((8, 8, 3), 20 + 200 * np.eye(3)[place % 3], np.uint8) for place in range(6)]
    for text, due in (("0-1", "ok"), ("0-255", "wrong")):
        classifier = wrap(Colours(), head="softmax", preparation=text)
        ready = [prepare(image, place, classifier) for place, image in enumerate(scenes)]
        found = preparation(classifier, ready)
        assert found.verdict == due
        assert preparation(classifier, ready[:3]).verdict == "not asked"
    assert "given as values from 0 to 1" in found.words
    assert found.advice.endswith("--preparation 'rgb, 0-1'")
    demo = load("demo")
    assert preparation(demo, [prepare(image, place, demo) for place, image in enumerate(SCENES)]).verdict == "ok"


def test_prepared_input_says_nothing_of_a_preparation() -> None:
    found = finding(examined(""), "the preparation")
    assert found.verdict == "not asked"
    assert found.words.startswith("0 pictures came")


def test_methods_are_tried_on_the_network_itself() -> None:
    methods = [METHODS.make("grad-cam"), METHODS.make("guided-backpropagation")]
    found = examine(load("demo"), SCENES[:2], methods, quick=True)
    grad, guided = found.methods
    assert grad.trust == "trust"
    assert guided.trust == "do not trust"
    assert grad.forgets is not None
    assert guided.forgets is not None
    assert guided.forgets > grad.forgets


def breaking(broken: str) -> Method:
    """A method that breaks one statement of the contract, whichever is asked for."""
    calls: list[int] = []

    class Breaking(Method):
        traits = Traits(family="test", needs=Needs.SCORES, cost="1 F", paper="")

        def attribute(self, passes: Passes, pixels: torch.Tensor, target: Target) -> Maps:
            passes.scores(pixels)
            calls.append(len(pixels))
            values = pixels.mean(1, keepdim=True) * (target.index.float() + 1).sin()[:, None, None, None]
            network = passes.network
            assert isinstance(network, Body)
            if broken == "S3-as_found":
                network.head.bias.data.add_(1)
            if broken == "R1-again":
                values = values + pixels[:, :1] * len(calls)
            if broken == "M8-batch":
                values = values - len(pixels) * pixels[:, :1]
            if broken == "M9-targets":
                values = pixels.mean(1, keepdim=True)
            return Maps(values=values)

    return Breaking()


@pytest.mark.parametrize("broken", ["S3-as_found", "R1-again", "M8-batch", "M9-targets"])
def test_a_method_that_breaks_the_contract_on_this_network_is_not_to_be_trusted(broken: str) -> None:
    given = torch.from_numpy(np.stack(pixels()))[:2]
    found = trusted(wrap(Body()), given, breaking(broken))
    assert found.trust == "do not trust"
    assert broken in [one.partition(":")[0] for one in found.broken]
    assert (broken == "R1-again") == ("R1-again" in [one.partition(":")[0] for one in found.broken])
    assert "does not keep the contract on this network" in found.words
    assert found.advice


def test_a_sound_method_keeps_the_contract_and_the_network_is_as_it_was() -> None:
    network = Body("training")
    given = torch.from_numpy(np.stack(pixels()))[:2]
    before = State.of(network, given)
    report, case = check_on_network(METHODS.make("lrp"), wrap(network), given)
    assert not report.wrong
    assert {cell.statement for cell in report.cells} == {
        "S3-as_found", "M7-sizes", "R1-again", "M8-batch", "C1-complete", "M9-targets", "S5-caller", "S1-stopped",
    }  # fmt: skip
    assert len(case.maps) == 2
    assert not State.of(network, given).changes(before)
    with pytest.raises(UsageError, match="two pictures"):
        check_on_network(METHODS.make("lrp"), wrap(network), given[:1])


def test_one_of_each_family_is_tried_where_nobody_is_named() -> None:
    names = [one.method for one in examine(wrap(Body()), pixels(), None, quick=True).methods]
    assert names == ["grad-cam", "lrp", "gradient", "attention-relevance", "occlusion(window=4, stride=4)"]


@pytest.mark.parametrize("ill", ["nan", "random", "dead"])
def test_methods_are_not_asked_of_a_network_that_hides_the_answer(ill: str) -> None:
    found = examine(wrap(Body(ill)), pixels(), [METHODS.make("gradient")])
    assert (found.methods[0].trust, found.methods[0].advice) == ("not asked", "mend that first")
    assert "the network itself is wrong" in found.methods[0].words


FACTS = Facts(broken=(), kept=8, flat=0, pictures=2, likely=0.9, judged=2, ahead=3.0, forgets=0.1, alike=0.2, other="x")


@pytest.mark.parametrize(
    ("changes", "trust", "said"),
    [
        ({}, "trust", "on 2 pictures its maps are 3.0 spreads better"),
        ({"flat": 2}, "do not trust", "the same everywhere"),
        ({"forgets": 0.85}, "do not trust", "hardly changes"),
        ({"forgets": -0.85}, "do not trust", "only turned round"),
        ({"ahead": 0.2}, "do not trust", "not those that matter"),
        ({"ahead": 0.2, "judged": 1}, "unclear", "may be chance"),
        ({"ahead": -6.8, "judged": 1}, "do not trust", "6.8 spreads worse"),
        ({"ahead": 0.2, "judged": 1, "forgets": 0.6}, "do not trust", "on one picture"),
        ({"knows": False}, "unclear", "no map of it is right or wrong"),
        ({"ahead": None, "likely": 0.01}, "unclear", "gives what is explained 1.0%"),
        ({"missing": 0.4}, "care", "misses up to 40%"),
        ({"alike": 0.95}, "care", "hardly why this class"),
        ({"forgets": 0.6}, "care", "part of the map stays"),
        ({"ahead": 1.3}, "care", "roughly where it matters"),
        ({"ahead": 1.5}, "trust", "1.5 spreads"),
    ],
)
def test_the_answer_and_its_words(changes: dict[str, Any], trust: str, said: str) -> None:
    found, words, advice = answer_to(METHODS.make("gradient"), FACTS.replaced(**changes))
    assert found == trust
    assert said in words
    assert bool(advice) == (trust != "trust")


class Colour(nn.Module):
    """Knows red, green and blue pictures: logits of three labels, which `end` makes into what a network gives."""

    def __init__(self, end: Any = None, strength: float = 12.0, bias: float = -4.0) -> None:
        super().__init__()
        self.conv, self.norm, self.head = (
            nn.Conv2d(3, 3, 1, bias=False),
            nn.Conv2d(3, 3, 1, bias=False),
            nn.Linear(3, 3),
        )
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[..., None, None])
            self.norm.weight.copy_(torch.eye(3)[..., None, None])
            self.head.weight.copy_(strength * torch.eye(3))
            self.head.bias.fill_(bias)
        self.end, self.between = end or (lambda scores: scores), lambda values: values

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.end(self.head(self.norm(self.between(self.conv(given))).mean((2, 3))))


def coloured(count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    places = [np.eye(3)[place % 3][:, None, None] for place in range(count)]
    return [(0.6 * one + 0.2 * rng.random((3, SIZE, SIZE))).astype(np.float32) for one in places]


def colour_finding(check: str, network: nn.Module, head: str = "auto", given: Any = None) -> Finding:
    return finding(examine(wrap(network, head=head), given or coloured(), []), check)


@pytest.mark.parametrize(
    ("end", "head", "bias", "verdict", "said"),
    [
        (None, "sigmoid", -4.0, "ok", "3 labels, each by itself: the likeliest has 9"),
        (torch.sigmoid, "auto", -4.0, "ok", "and 1.0 of them are above 50% on average"),
        (torch.sigmoid, "auto", -14.0, "care", "none of the 3 labels gets more than"),
        (lambda scores: scores[:, :1], "auto", -4.0, "ok", "one answer: “class 1” has"),
        (lambda scores: scores[:, :1], "auto", -9.0, "care", "more than 50% in 0 of them"),
        (lambda scores: scores.softmax(1), "auto", -4.0, "ok", "3 classes for 6 pictures"),
    ],
)
def test_answers_are_told_in_the_terms_of_the_head(end: Any, head: str, bias: float, verdict: str, said: str) -> None:
    one = colour_finding("the scores are alive", Colour(end, bias=bias), head)
    assert (one.verdict, said in one.words) == (verdict, True), one
    assert ("mean top probability" in one.words) == (end is not None and "classes for" in said)


def test_what_the_scores_are_read_as_is_told() -> None:
    assert "labels that are each true or not" in colour_finding("what the scores mean", Colour(), "sigmoid").words
    assert "say --head sigmoid" in colour_finding("what the scores mean", Colour()).words
    shares = colour_finding("what the scores mean", Colour(lambda scores: scores.sigmoid() * 1.0))
    assert shares.verdict == "care"  # the graph ends in a product, and the numbers may be either
    assert "--head" in shares.advice


def test_probabilities_that_are_0_and_1_are_sent_back_to_their_logits() -> None:
    def hard(scores: torch.Tensor) -> torch.Tensor:
        return functional.one_hot(scores.argmax(1), 3).float()

    found = examine(wrap(Colour(hard)), coloured(), [])
    assert "without its last softmax" in finding(found, "the scores are alive").advice
    assert "behind the last layer" in finding(found, "gradients at the layers").advice


def test_where_gradients_are_cut_off_is_named() -> None:
    network = Colour()
    network.between = lambda values: (values * 64).round() / 64
    one = colour_finding("gradients at the layers", network)
    assert "none reaches conv for any picture (1 of the 3" in one.words
    assert "just before norm" in one.advice


def test_the_layer_where_pictures_become_alike_is_named() -> None:
    network = Colour()
    nn.init.zeros_(network.norm.weight)
    found = examine(wrap(network), coloured(), [METHODS.make("gradient")])
    assert "from layer norm on" in finding(found, "the scores are alive").words
    assert "occlusion" not in finding(found, "gradients at the pixels").advice
    assert found.methods[0].trust == "not asked"


def test_nothing_is_concluded_of_methods_on_a_network_that_knows_nothing() -> None:
    found = examine(wrap(Body()), pixels(), [METHODS.make("gradient")])
    assert finding(found, "what it knows of these pictures").verdict == "care"
    assert found.methods[0].trust == "unclear"
    assert "no map of it is right or wrong" in found.methods[0].words
    taught = examine(wrap(Colour()), coloured(), [METHODS.make("gradient")], quick=True)
    assert finding(taught, "what it knows of these pictures").verdict == "ok"  # colours survive scrambling, and tell
    assert "no map of it" not in taught.methods[0].words
    one_sort = [coloured()[0] + place / 100 for place in range(4)]
    assert colour_finding("what it knows of these pictures", Colour(), given=one_sort).verdict == "care"
    assert finding(examine(load("demo"), SCENES, []), "what it knows of these pictures").verdict == "ok"


def test_weights_of_half_the_bits_are_examined_and_told() -> None:
    scenes = [np.full((8, 8, 3), 20 + 200 * np.eye(3)[place % 3], np.uint8) for place in range(6)]
    found = examine(wrap(Colour().half(), preparation="0-1"), scenes, [])
    assert found.healthy
    assert "network.float()" in finding(found, "its numbers").advice
    assert finding(found, "the preparation").verdict != "wrong"


class Turned(nn.Module):
    """Surer of red than of blue pictures, a little and always."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        red, blue = given[:, 0].mean((1, 2)), given[:, 2].mean((1, 2))
        return functional.pad((2 + 0.3 * (red - blue).sign())[:, None], (0, 9))


def test_channels_that_may_be_the_other_way_round_are_told_with_care() -> None:
    scenes = [np.full((8, 8, 3), (20, 90, 220 + place), np.uint8) for place in range(8)]
    classifier = wrap(Turned(), head="softmax", preparation="0-1")
    one = preparation(classifier, [prepare(image, place, classifier) for place, image in enumerate(scenes)])
    assert one.verdict == "care"
    assert "BGR in place of RGB" in one.words
    assert "bgr" in one.advice
    right = wrap(Turned(), head="softmax", preparation="bgr, 0-1")
    found = preparation(right, [prepare(image, place, right) for place, image in enumerate(scenes)])
    assert "in place of" not in found.words


def test_a_layer_without_a_gradient_is_named() -> None:
    dead = finding_of(wrap(Body()))
    assert dead.numbers["layers"] == 1


def finding_of(classifier: Classifier) -> Finding:
    with Passes(classifier) as passes:
        return list(gradients(passes, torch.from_numpy(np.stack(pixels()))))[-1]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--methods", "none", "--out", "found.json"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    assert json.loads(Path("found.json").read_text())["healthy"] is True
    Path("raw.py").write_text("import sightline\ndef make():\n    return sightline.load('demo').function\n")
    assert main(["doctor", "--model", "raw.py:make", "--methods", "none"]) == 0  # nobody told its preparation
    assert "nothing is wrong, but look at: what it knows of these pictures, the preparation" in capsys.readouterr().out
    Path("ill.py").write_text("import torch\ndef make():\n    return lambda pixels: pixels.sum((2, 3)) * 0\n")
    assert main(["doctor", "--model", "ill.py:make", "--methods", "none", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["healthy"] is False
    for words, said in (
        ("doctor --methods grad-cm", "did you mean 'grad-cam'"),
        ("doctor nothing.jpg", "no picture file"),
        ("doctor --model dmo", "did you mean 'demo'"),
        ("doctor --out no/where.json", "give a file in a folder that is there"),
        ("doctor demo:dog --model nowhere.py:make", "two pictures or more"),  # before the network is looked for
    ):
        assert main(words.split()) == 2
        assert said in capsys.readouterr().err
