"""A preparation that is probably wrong is noticed; one that is right is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sightline
from sightline.errors import ModelError
from sightline.images.prepare import Preparation
from sightline.models.preparation_check import check_preparation, conventions
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


@pytest.mark.parametrize("wrong", ["0-255", "-1-1", "mean 2 2 2"])
def test_a_wrong_preparation_of_it_is_noticed(wrong: str) -> None:
    model = sightline.load("demo")
    own = model.preparation
    other = Preparation.parse(wrong)
    spoilt = replace(own, scale=other.scale, mean=other.mean, std=other.std)
    found = check_preparation(replace(model, preparation=spoilt), _scenes())
    assert found.suspect is not None, (found.declared.mean, found.others[0].mean)
    assert "probably wrong" in found.warning
    assert "--preparation" in found.warning


class Answers(torch.nn.Module):
    """Sure of pictures whose mean is near 0.4, with a class that depends on them; the same answer to all bytes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = x.mean((2, 3))
        near = torch.exp(-(((means.mean(1) - 0.4) / 0.1) ** 2))
        scores = torch.cat([means, means.new_zeros(len(x), 1)], 1)
        scores = 60 * near[:, None] * (scores - scores.mean(1, keepdim=True))
        sure = torch.where(means.mean(1) > 10, 50.0, 0.0)
        return scores + sure[:, None] * torch.tensor([0.0, 0, 0, 1])


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
    assert found.declared.mean < 0.01


def test_ways_equal_to_the_declared_one_are_left_out() -> None:
    names = [name for name, _ in conventions(Preparation.parse("mean 0.5, std 0.5"))]
    assert "values from −1 to 1" not in names
    assert names[0] == "declared"
    grey = [way for _, way in conventions(Preparation.parse("grey"))]
    assert {len(way.mean) for way in grey} == {1}
    turned = dict(conventions(Preparation.parse("bgr, 0-255, mean 103.939 116.779 123.68")))
    assert "bytes less their mean (Caffe)" not in turned
    assert turned["RGB in place of BGR"].mean == (123.68, 116.779, 103.939)


def test_nothing_to_look_at_is_refused() -> None:
    with pytest.raises(ModelError, match="give some"):
        check_preparation(sightline.wrap(Answers()), [])


@pytest.mark.real
def test_real_networks(data_dir: Path) -> None:
    photographs = sorted((data_dir / "photos" / "imagenet").iterdir())[::19]
    model = sightline.load(
        "timm/vit_tiny_patch16_224", weights=data_dir / "weights" / "vit_tiny_patch16_224.safetensors"
    )
    assert check_preparation(model, photographs, most=16).suspect is None
    own = model.preparation
    for text in ("0-255", "mean 0.485 0.456 0.406, std 0.229 0.224 0.225"):
        other = Preparation.parse(text)
        wrong = replace(model, preparation=replace(own, scale=other.scale, mean=other.mean, std=other.std))
        found = check_preparation(wrong, photographs, most=16)
        assert found.suspect is not None, text
