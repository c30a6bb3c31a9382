"""The doctor: every illness that is planted is found and named, and a healthy network has none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.table import METHODS
from sightline.cli.main import main
from sightline.demo.scenes import PICTURES, render
from sightline.doctor.examine import examine
from sightline.doctor.findings import Examination, Finding
from sightline.doctor.network import gradients
from sightline.doctor.preparing import others, preparation, seen
from sightline.errors import UsageError
from sightline.images.prepare import Preparation
from sightline.models.catalogue import load
from sightline.models.classifier import Classifier, wrap
from sightline.passes.passes import Passes

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


def scaled(classifier: Classifier, way: Preparation) -> tuple[Classifier, torch.Tensor]:
    """The built-in network before pictures that were prepared in another way."""
    ready = Preparation(**{**vars(classifier.preparation), "mean": way.mean, "std": way.std, "scale": way.scale})
    made = wrap(classifier.network, preparation=ready, labels=classifier.labels)  # type: ignore[arg-type]
    from sightline.models.intake import prepare

    return made, torch.cat([prepare(image, place, made).pixels for place, image in enumerate(SCENES)])


def test_a_wrong_preparation_is_found_and_the_right_one_named() -> None:
    classifier = load("demo")
    assert classifier.preparation is not None
    right, given = scaled(classifier, classifier.preparation)
    assert preparation(Passes(right), given).verdict == "ok"
    wrong, given = scaled(classifier, Preparation(scale=255 * 8))
    found = preparation(Passes(wrong), given)
    assert found.verdict == "wrong"
    assert "given as" in found.words
    assert preparation(Passes(right), given[:3]).verdict == "not asked"


def test_other_ways_are_those_of_other_pipelines() -> None:
    unit = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    way = Preparation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    given = (unit - torch.tensor(way.mean)[:, None, None]) / torch.tensor(way.std)[:, None, None]
    found = others(given, way)
    assert torch.allclose(found["RGB from 0 to 1"], unit, atol=1e-6)
    assert "RGB less ImageNet's mean, by its deviation" not in found  # it is the declared one
    assert torch.allclose(found["RGB from 0 to 255"], 255 * unit, atol=1e-3)
    assert torch.allclose(others(unit.flip(1), Preparation(channels="bgr"))["RGB from 0 to 1"], unit)


def test_information_by_hand() -> None:
    sure = torch.tensor([[9e9, 0.0], [0.0, 9e9]])
    network = wrap(lambda given: sure[given[:, 0, 0, 0].long()], head="softmax")
    marks = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 3, 2, 2)
    found = seen(Passes(network), marks)
    assert found is not None
    assert found.information == pytest.approx(np.log(2))
    same = seen(Passes(network), marks[:1].expand(2, -1, -1, -1))
    assert same is not None
    assert same.information == pytest.approx(0)


def test_methods_are_tried_on_the_network_itself() -> None:
    methods = [METHODS.make("grad-cam"), METHODS.make("guided-backpropagation")]
    found = examine(load("demo"), SCENES[:2], methods)
    grad, guided = found.methods
    assert grad.trust == "trust"
    assert guided.trust == "do not trust"
    assert grad.forgets is not None
    assert guided.forgets is not None
    assert guided.forgets > grad.forgets


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
    Path("ill.py").write_text("import torch\ndef make():\n    return lambda pixels: pixels.sum((2, 3)) * 0\n")
    assert main(["doctor", "--model", "ill.py:make", "--methods", "none", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["healthy"] is False
    for words, said in (
        ("doctor --methods grad-cm", "did you mean 'grad-cam'"),
        ("doctor nothing.jpg", "no picture file"),
        ("doctor --model dmo", "did you mean 'demo'"),
        ("doctor --out no/where.json", "give a file in a folder that is there"),
        ("doctor demo:dog --methods none", "two pictures or more"),
    ):
        assert main(words.split()) == 2
        assert said in capsys.readouterr().err
