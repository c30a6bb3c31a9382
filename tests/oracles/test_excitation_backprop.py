"""Excitation backprop and its contrastive form against winning probabilities by hand, and TorchRay's formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from sightline.attribution.result import Attribution
from sightline.attribution.table import METHODS
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.runs.explain import explain
from small import close, picture, seeded
from torchray import TorchRay, resnet
from winners import chain, handed_down

SIZE = (8, 12)
PLACES = (2, 3, 5)


def result_of(network: nn.Module, x: torch.Tensor, spec: str, target: Any = 1) -> Attribution:
    found = explain(network, x, spec, target=target)
    assert isinstance(found, Attribution)
    return found


def map_of(network: nn.Module, x: torch.Tensor, spec: str, target: Any = 1) -> torch.Tensor:
    return torch.from_numpy(result_of(network, x, spec, target).map)


def up(map: torch.Tensor, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return functional.interpolate(map[None, None], size, mode="bilinear", align_corners=False)[0, 0].float()


def one(target: int, classes: int = 4) -> torch.Tensor:
    return torch.eye(classes)[target]


@pytest.mark.parametrize("target", range(4))
@pytest.mark.parametrize("place", PLACES)
def test_by_hand(place: int, target: int) -> None:
    network, x = chain(), picture(*SIZE)
    expected = handed_down(network, x, one(target), place)[0].sum(0)
    assert float(expected.sum()) == pytest.approx(1)
    result = result_of(network, x, f"excitation-backprop(layer='{place}')", target)
    assert close(torch.from_numpy(result.map), up(expected), 1e-4)
    assert abs(float(result.numbers["conservation_error"])) < 1e-4
    assert result.layer == str(place)


@pytest.mark.parametrize("target", range(4))
@pytest.mark.parametrize("place", PLACES)
def test_contrast_by_hand(place: int, target: int) -> None:
    network, x = chain(), picture(*SIZE)
    own, dual = (handed_down(network, x, one(target), place, top)[0].sum(0) for top in (1.0, -1.0))
    assert float((own - dual).sum()) == pytest.approx(0, abs=1e-6)
    found = map_of(network, x, f"contrastive-excitation-backprop(layer='{place}')", target)
    assert close(found, up((own - dual).clamp(min=0)), 1e-4)
    # The twin that forgets to turn the last layer's weights shows nothing at all, or the plain map.
    assert not close(found, up(own), 1e-2)


def test_a_contrast_of_two_classes_is_the_difference_of_their_maps() -> None:
    network, x = chain(), picture(*SIZE)
    each = [map_of(network, x, "excitation-backprop(layer='2')", target) for target in (1, 3)]
    assert close(map_of(network, x, "excitation-backprop(layer='2')", (1, 3)), each[0] - each[1], 1e-4)


def test_the_layer_of_medium_size() -> None:
    network, x = chain(), picture(*SIZE)
    assert result_of(network, x, "excitation-backprop").layer == "2"
    assert close(map_of(network, x, "excitation-backprop"), map_of(network, x, "excitation-backprop(layer='2')"))
    one_grid = seeded(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    )
    assert result_of(one_grid, x, "contrastive-excitation-backprop").layer == "1"


# ---- TorchRay --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["layer2", "layer4"])
def test_torchray_on_resnet18(at: str) -> None:
    network, x = resnet(), picture(64, 64)
    ray = TorchRay(network)
    with torch.no_grad():
        assert close(ray.run(x, at)[1], network(x), 1e-5)
    own, dual = (ray.won(x, 3, at, top) for top in (1.0, -1.0))
    found = map_of(network, x, f"excitation-backprop(layer={at})", 3)
    assert close(found, up(own, (64, 64)), 1e-3)
    contrast = map_of(network, x, f"contrastive-excitation-backprop(layer={at})", 3)
    assert close(contrast, up((own - dual).clamp(min=0), (64, 64)), 1e-3)
    if at == "layer2":  # a normalisation whose negative scales are not moved first: TorchRay itself
        assert not close(found, up(TorchRay(network, turn=False).won(x, 3, at), (64, 64)), 1e-2)


# ---- laws ------------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000), target=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_winning_probabilities_are_probabilities(seed: int, target: int) -> None:
    network, x = chain(seed), picture(*SIZE, seed=seed)
    for layer in (5, 2):
        result = result_of(network, x, f"excitation-backprop(layer='{layer}')", target)
        assert float(result.map.min()) >= 0
        total = float(result.numbers["conservation_error"]) + 1
        expected = float(handed_down(network, x, one(target), layer).sum())  # less than 1 where biases alone excite
        assert total == pytest.approx(expected, abs=1e-3)
        assert 0 <= expected <= 1 + 1e-9


@given(seed=st.integers(0, 1000), factor=st.floats(0.125, 64), constant=st.floats(-4, 4))
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("spec", ["excitation-backprop", "contrastive-excitation-backprop"])
def test_neither_a_factor_on_the_scores_nor_a_constant_changes_a_thing(
    spec: str, seed: int, factor: float, constant: float
) -> None:
    network, x = chain(seed), picture(*SIZE, seed=seed)
    before = map_of(network, x, spec)
    with torch.no_grad():
        network[-1].weight.mul_(factor)
        network[-1].bias.add_(constant)
    assert torch.allclose(map_of(network, x, spec), before, atol=1e-3 * max(float(before.abs().max()), 1e-3))


def test_what_a_picture_wins_does_not_depend_on_its_mates() -> None:
    network, x = chain(), picture(*SIZE, pictures=3)
    together = Passes(network)
    method = METHODS.make("contrastive-excitation-backprop")
    batch = method(together, x, Target.of([0, 1, 2])).values
    for place in range(3):
        alone = method(network, x[place : place + 1], Target.of([place])).values
        assert close(batch[place : place + 1], alone, 1e-5)
