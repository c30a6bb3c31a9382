"""A preparation that is probably wrong is noticed; one that is right is left alone."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sightline
from sightline.errors import ModelError
from sightline.images.prepare import Preparation
from sightline.models.classifier import Classifier
from sightline.models.preparation_check import Convention, _better, check_preparation, glance
from sightline.models.preparation_ways import conventions
from sightline.testing.state import State


def _scenes() -> list[np.ndarray]:
    from sightline.demo.scenes import PICTURES, render

    return [render(spec).image for spec in list(PICTURES.values())[:6]]


def test_the_built_in_network_is_prepared_rightly() -> None:
    model, pictures = sightline.load("demo"), _scenes()
    before = State.of(model.network, torch.zeros(1))
    found = check_preparation(model, pictures)
    assert State.of(model.network, torch.zeros(1)).changes(before) == []
    assert found.suspect is None
    assert found.warning is None
    assert len(found.declared.evidence) == min(len(pictures), 8)


class Answers(torch.nn.Module):
    """Sure of pictures of one colour with values from 0 to 1; the same answer to all bytes."""

    classes = 12

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = x.mean((2, 3))
        apart = (means.amax(1) - means.amin(1)).clamp(max=1)
        near = torch.exp(-(((means.mean(1) - 0.4) / 0.1) ** 2)) * (apart > 0.25)
        scores = torch.cat([means, means.new_zeros(len(x), self.classes - 3)], 1)
        scores = 60 * near[:, None] * (scores - scores.mean(1, keepdim=True))
        sure = torch.where(means.mean(1) > 10, 50.0, 0.0)
        return scores + sure[:, None] * torch.eye(self.classes)[-1]


def _pictures(count: int = 6) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        (random.integers(0, 120, (16, 16, 3)) + 130 * np.eye(3, dtype=int)[place % 3]).clip(0, 255).astype(np.uint8)
        for place in range(count)
    ]


@pytest.mark.parametrize("count", [1, 6])
def test_evidence_finds_the_way_that_the_network_knows(count: int) -> None:
    right = sightline.wrap(Answers(), head="softmax", preparation=Preparation())
    assert check_preparation(right, _pictures(count)).suspect is None
    for text in ("0-255", "-1-1", "mean 0.485 0.456 0.406, std 0.229 0.224 0.225"):
        found = check_preparation(replace(right, preparation=Preparation.parse(text)), _pictures(count))
        assert found.suspect is not None, text
        assert found.suspect.name == "values from 0 to 1"
        assert Preparation.parse(found.suspect.preparation.text()) == Preparation()


def test_the_same_answer_to_everything_is_no_evidence() -> None:
    found = check_preparation(sightline.wrap(Answers(), head="softmax", preparation="0-255"), _pictures())
    assert found.declared.confidence > 0.99
    assert found.declared.on_noise > 0.99
    assert found.declared.mean < 0.1


def _warned(classifier: Classifier, pictures: Any) -> list[str]:
    found = sightline.explain(classifier, pictures, ["occlusion(window=8, stride=8)"])
    said = [[line for line in one.warnings if "probably wrong" in line] for one in found]
    assert all(lines == said[0] for lines in said)
    return said[0]


WRONG = "0-255"


def test_explaining_says_where_a_declared_preparation_is_probably_wrong() -> None:
    (line,) = _warned(sightline.wrap(Answers(), head="softmax", preparation=WRONG), _pictures(4))
    assert line.startswith("the preparation is probably wrong: prepared as values from 0 to 1 the network tells")
    text = line.rpartition("try --preparation ")[2].strip("'")
    assert Preparation.parse(text) == Preparation()
    assert _warned(sightline.wrap(Answers(), head="softmax", preparation=text), _pictures(4)) == []


def test_a_missing_preparation_is_looked_at_too() -> None:
    class Bytes(Answers):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x / 255)

    (line,) = _warned(sightline.wrap(Bytes(), head="softmax"), _pictures(4))
    assert "'rgb, 0-255, upright'" in line


@pytest.mark.parametrize("quiet", ["known", "few classes", "each by itself", "prepared", "fails"])
def test_explaining_says_nothing_where_nothing_is_known(quiet: str) -> None:
    network, pictures = Answers(), _pictures(4)
    wrong = sightline.wrap(network, head="softmax", preparation=WRONG)
    assert glance(wrong, pictures) is not None
    if quiet == "known":
        wrong = replace(wrong, prepared_by_source=True)
    elif quiet == "few classes":
        network.classes = 9
    elif quiet == "each by itself":
        wrong = replace(wrong, head="sigmoid")
    elif quiet == "prepared":
        pictures = [torch.rand(3, 16, 16) for _ in pictures]
    else:
        wrong = sightline.wrap(torch.nn.Conv2d(7, 12, 3), preparation=WRONG)
    assert glance(wrong, pictures) is None


def test_a_glance_costs_little_where_the_network_is_sure_and_changes_nothing() -> None:
    asked = []

    class Counted(Answers):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            asked.append(len(x))
            return super().forward(x)

    network = Counted().train()
    before = State.of(network, torch.zeros(1))
    assert glance(sightline.wrap(network, head="softmax", preparation=Preparation()), _pictures(6)) is None
    assert State.of(network, torch.zeros(1)).changes(before) == []
    assert sum(asked) == 4 + 3
    asked.clear()
    assert glance(sightline.wrap(network, head="softmax", preparation=WRONG), [*_pictures(6), "no such file"])
    assert sum(asked) <= 7 * (4 + 3)


def test_sources_that_know_how_their_network_was_trained() -> None:
    assert sightline.load("demo").prepared_by_source
    assert not sightline.load("demo", preparation="squash 128").prepared_by_source
    assert not sightline.wrap(Answers()).prepared_by_source


def test_ways_equal_to_the_declared_one_are_left_out() -> None:
    names = [name for name, _ in conventions(Preparation.parse("mean 0.5, std 0.5"))]
    assert "values from −1 to 1" not in names
    assert names[0] == "declared"
    grey = [way for _, way in conventions(Preparation.parse("grey"))]
    assert {len(way.mean) for way in grey} == {1}
    turned = dict(conventions(Preparation.parse("bgr, 0-255, mean 103.939 116.779 123.68")))
    assert "BGR bytes less their mean (Caffe)" not in turned
    assert turned["RGB in place of BGR"].mean == (123.68, 116.779, 103.939)


def test_nothing_to_look_at_is_refused() -> None:
    with pytest.raises(ModelError, match="give some"):
        check_preparation(sightline.wrap(Answers()), [])


@pytest.mark.real
def test_real_networks(data_dir: Path) -> None:
    photographs = sorted((data_dir / "photos" / "imagenet").iterdir())[::37]
    model = sightline.load(
        "timm/vit_tiny_patch16_224", weights=data_dir / "weights" / "vit_tiny_patch16_224.safetensors"
    )
    assert not model.prepared_by_source  # a file of weights does not say how it was trained
    assert [glance(model, [one]) for one in photographs[:3]] == [None] * 3
    assert check_preparation(model, photographs).suspect is None
    own = model.preparation
    assert own is not None
    wrong = replace(model, preparation=replace(own, scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3))
    found = check_preparation(wrong, photographs)
    assert found.suspect is not None
    assert found.suspect.name in ("values from −1 to 1", "ImageNet's mean and deviation", "values from 0 to 1")


def test_a_network_that_is_sure_of_noise_is_found_out_on_one_picture() -> None:
    """Bytes where values near 1 were meant make any network sure of anything: one picture says enough."""

    def way(on_noise: float, evidence: float, classes: int = 1000) -> Convention:
        return Convention("a way", Preparation(), 0.9, 0.1, on_noise, (evidence,), classes, 0.0)

    assert _better(way(0.2, 0.7), way(0.8, 0.3))
    assert not _better(way(0.2, 0.7), way(0.6, 0.3))  # not so sure of noise: more pictures are needed
    assert not _better(way(0.5, 0.7), way(0.8, 0.3))  # nor does the other way put it in order
    assert not _better(way(0.2, 0.7, 10), way(0.8, 0.3, 10))  # of ten digits noise may well be one


def test_a_network_that_is_blind_as_declared_is_found_out() -> None:
    chance = Convention("declared", Preparation(), 0.1, math.log(10), 0.1, (0.1,) * 4, 10, 0.0)
    telling = replace(chance, name="another", entropy=1.0, on_noise=0.9, told=1.2)
    dull = replace(telling, told=0.1)
    assert chance.blind
    assert telling.tells
    assert not dull.tells  # sure, and always of the same class
    assert not replace(telling, evidence=(0.1, 0.1)).tells  # of two pictures nobody could say
