"""Planted evidence: the patch is where it is said to be, does what it is said to do, and maps are judged by it."""

from __future__ import annotations

import re
from itertools import islice
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from sightline.attribution.activation.grad_cam import GradCam
from sightline.demo.scenes import render_image
from sightline.errors import NotSupportedError, UsageError
from sightline.evaluation.patches import Pasted, log_probabilities
from sightline.evaluation.planted import Planted, plant
from sightline.evaluation.worlds.nulls import RandomMap
from sightline.evaluation.worlds.scenes import scenes
from sightline.evaluation.worlds.truth import prepared
from sightline.models.catalogue import load
from sightline.models.classifier import wrap
from sightline.models.heads import Head, probabilities, two_sided
from sightline.passes.passes import Passes


class Bright(torch.nn.Module):
    """Class 1 is how bright the picture is, the brightest counting most, class 0 a constant, class 2 never."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        bright = pixels.pow(4).mean((1, 2, 3)) * 100
        return torch.stack([torch.full_like(bright, 3.0), bright, torch.full_like(bright, -9.0)], 1)


DARK = torch.rand((3, 3, 40, 48), generator=torch.Generator().manual_seed(0)) * 0.4


@pytest.fixture(scope="module")
def planted() -> Planted:
    passes = Passes(load("demo"))
    pixels = torch.cat([prepared(passes, render_image(spec)).pixels for spec in islice(scenes("plain", 3), 2)])
    return plant(passes, pixels, target=1, side=0.4, steps=20)


def test_the_patch_decides_and_a_good_map_lies_on_it(planted: Planted) -> None:
    passes = Passes(load("demo"))
    scores = passes.scores(planted.pixels)
    assert scores.argmax(1).tolist() == planted.target.index.tolist()
    assert np.allclose(passes.probability(scores, planted.target), planted.with_, atol=1e-4)
    assert (planted.without <= 0.1).all()
    good, random = (
        np.mean(planted.judge(method(passes, planted.pixels, planted.target).at_pixels(128, 128)), axis=0)
        for method in (GradCam(), RandomMap())
    )
    assert (good > 2 * planted.chance).all()
    assert random[0] == pytest.approx(planted.chance, abs=0.02)
    assert random[1] == pytest.approx(planted.chance, abs=0.05)


def test_found_by_its_gradient_where_the_answer_is_known() -> None:
    found = plant(Bright(), DARK, steps=25, side=0.4)
    assert found.target.index.tolist() == [1, 1, 1]
    assert float(found.patch.mean()) > 0.9  # bright is what the class is
    for mask, (top, left, bottom, right) in zip(found.masks, found.boxes, strict=True):
        assert mask.sum() == (bottom - top) * (right - left) == found.patch.shape[-1] ** 2
    again = plant(Bright(), DARK, steps=25, side=0.4)
    assert torch.equal(again.pixels, found.pixels)
    assert not np.array_equal(plant(Bright(), DARK, steps=25, side=0.4, seed=1).boxes, found.boxes)


def test_found_by_asking_alone() -> None:
    found = plant(wrap(Bright().forward, name="function"), DARK, steps=25, side=0.4)
    assert found.target.index.tolist() == [1, 1, 1]
    assert "candidates" in found.origin


def test_a_patch_that_is_given_is_pasted_and_measured() -> None:
    found = plant(Bright(), DARK, target=1, patch=torch.ones(3, 16, 16))
    assert found.origin == "given"
    for row, (top, left, bottom, right) in enumerate(found.boxes.tolist()):
        assert (found.pixels[row, :, top:bottom, left:right] == 1).all()
        outside = torch.from_numpy(~found.masks[row])
        assert torch.equal(found.pixels[row][:, outside], DARK[row][:, outside])
    best = found.judge(torch.from_numpy(found.masks).float())
    assert all(value == (1, 1, 1) for value in best)
    assert all(value == (0, 0, 0) for value in found.judge(-torch.from_numpy(found.masks).float()))


@pytest.mark.parametrize("gradients", [True, False])
def test_it_stops_when_it_is_there(gradients: bool) -> None:
    """Bright is what class 1 is: twelve steps make the patch bright, and no more are taken of the 300 allowed."""
    model = Bright() if gradients else wrap(Bright().forward, name="function")
    found = plant(model, DARK, target=1, side=0.5)
    steps = re.search(r"(\d+) steps of", found.origin)
    assert steps is not None
    assert 5 <= int(steps[1]) < 60
    assert (found.with_ > 0.7).all()
    again = plant(model, DARK, target=1, side=0.5, steps=200)  # a bound that is not met changes nothing
    assert torch.equal(again.pixels, found.pixels)


@pytest.mark.parametrize("head", ["softmax", "sigmoid", "binary", "probabilities", "independent-probabilities",
                                  "binary-probability"])  # fmt: skip
def test_the_probability_that_it_stops_at_is_the_heads(head: Head) -> None:
    """Of every head, with and without gradients: likely in the end, and not after all the steps."""

    class Headed(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            scores = Bright()(pixels) - torch.tensor([0.0, 9.0, 0.0])  # by itself it is unlikely, too
            one = head.startswith("binary")
            scores = scores[:, 1:2] if one else scores
            if head == "probabilities":
                return scores.softmax(1)
            return scores.sigmoid() if "probabilit" in head else scores

    for model in (wrap(Headed(), head=head), wrap(Headed().forward, head=head)):
        found = plant(model, DARK, target=1, side=0.6)
        assert (found.with_ > 0.6).all()
        assert int(found.origin.split(" steps")[0].split()[-1]) < 60


@pytest.mark.parametrize("head", get_args(Head))
def test_log_probabilities_are_of_the_head(head: Head) -> None:
    scores = torch.rand(4, 1 if head.startswith("binary") else 3, generator=torch.Generator().manual_seed(2))
    two = two_sided(scores, head)
    assert torch.allclose(log_probabilities(two, head).exp(), probabilities(two, head), atol=1e-6)
    assert torch.equal(log_probabilities(two[None], head), log_probabilities(two, head)[None])


class Unsure(torch.nn.Module):
    """As `Bright`, but of five hundred classes, none of which it is ever sure of: an untrained network's scores."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        bright = pixels.pow(4).mean((1, 2, 3)).clamp(max=0.04) * 100
        others = 0.01 * torch.arange(500.0)[None].expand(len(pixels), -1).sin()
        return torch.cat([others, bright[:, None]], 1)


def test_a_network_that_is_never_sure_is_swayed_by_its_odds() -> None:
    found = plant(Unsure(), DARK, target=500, side=0.3, steps=20)
    assert found.left_out == 0
    assert (found.with_ < 0.5).all()  # sure it never is
    odds = [p / (1 - p) for p in (found.with_, found.without)]
    assert (odds[0] >= 9 * odds[1]).all()
    with pytest.raises(NotSupportedError, match="decides in no picture"):  # the likelier class, but by a little
        plant(Unsure(), DARK, target=500, patch=torch.full((3, 12, 12), 0.6))


def test_it_gives_up_where_nothing_comes() -> None:
    passes = Passes(Bright())
    with passes, pytest.raises(NotSupportedError, match=r"found by 120 steps.*no evidence that could be planted"):
        plant(passes, DARK, target=2, side=0.3)


@pytest.mark.parametrize(("wrong", "said"), [({"target": 3}, "classes 0 to 2"), ({"steps": 0}, "one step or more")])
def test_a_class_or_a_number_of_steps_that_cannot_be(wrong: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plant(Bright(), DARK, **wrong)


def test_a_patch_that_does_not_decide_is_no_truth() -> None:
    with pytest.raises(NotSupportedError, match="decides in no picture"):
        plant(Bright(), DARK, target=2, patch=torch.ones(3, 16, 16))


@pytest.mark.parametrize(
    "wrong", [{"patch": torch.ones(3, 8, 8)}, {"patch": torch.ones(3, 8, 9), "target": 1}, {"side": 1.0}]
)
def test_a_patch_that_does_not_fit_is_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="patch"):
        plant(Bright(), DARK, **wrong)


def test_maps_of_another_size_are_refused(planted: Planted) -> None:
    with pytest.raises(UsageError, match="planted pictures"):
        planted.judge(torch.zeros(len(planted.boxes), 5, 5))


def test_patches_are_pasted_version_by_version() -> None:
    patches = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    versions = Pasted(patches, torch.tensor([[0, 0], [5, 6]]))
    made = versions.make(DARK, slice(0, 2)).unflatten(0, (2, 3))
    assert (made[0, :, :, :4, :4] == 0).all()
    assert (made[1, :, :, 5:9, 6:10] == 1).all()
    assert torch.equal(versions.make(DARK, slice(1, 2)), made[1])
