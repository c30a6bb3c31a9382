"""Relevance-CAM against relevance by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sightline.attribution.activation.relevance_cam import against_the_others
from sightline.attribution.result import Attribution
from sightline.models.targets import AgainstMixture, Target
from sightline.runs.explain import explain
from small import close, picture, pooled
from torchray import TorchRay, resnet
from winners import chain, handed_down

SIZE = (8, 12)


def map_of(network: nn.Module, x: torch.Tensor, spec: str, target: Any = 1) -> torch.Tensor:
    found = explain(network, x, spec, target=target)
    assert isinstance(found, Attribution)
    return torch.from_numpy(found.map)


def by_hand(network: Any, x: torch.Tensor, start: torch.Tensor, place: int) -> torch.Tensor:
    """The map before its negative parts are cut, at the picture."""
    relevance = handed_down(network, x, start, place)[0]
    total = torch.zeros(relevance.shape[1:])
    with torch.no_grad():
        for channel, own in zip(network[: place + 1](x)[0], relevance, strict=True):
            total += float(own.sum()) * channel
    return total


def up(map: torch.Tensor, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return nn.functional.interpolate(map[None, None], size, mode="bilinear", align_corners=False)[0, 0]


@pytest.mark.parametrize("target", range(4))
@pytest.mark.parametrize("place", [2, 3, 5])
def test_by_hand(place: int, target: int) -> None:
    network, x = chain(), picture(*SIZE)
    start = torch.full((4,), -0.25)
    start[target] = 1
    expected = by_hand(network, x, start, place)
    assert close(map_of(network, x, f"relevance-cam(layer='{place}')", target), up(expected.clamp(min=0)), 1e-4)
    assert close(map_of(network, x, f"relevance-cam(layer='{place}', relu=false)", target), up(expected), 1e-4)
    alone = by_hand(network, x, torch.eye(4)[target], place)  # a twin that forgets the other classes
    assert not close(up(alone), up(expected), 1e-2)


@pytest.mark.parametrize("at", ["layer2", "layer4"])
def test_on_skip_connections(at: str) -> None:
    network, x, ray = resnet(), picture(64, 64), TorchRay(resnet())
    start = torch.full((10,), -0.1)
    start[3] = 1
    weights = ray.handed(x, start, at).sum((1, 2))
    activations = ray.run(x, at)[0][0].detach()
    expected = up(torch.einsum("k,khw->hw", weights, activations), (64, 64))
    assert close(map_of(network, x, f"relevance-cam(layer={at}, relu=false)", 3), expected, 1e-3)


def test_a_contrast_begins_with_one_and_minus_one() -> None:
    network, x = chain(), picture(*SIZE)
    expected = by_hand(network, x, torch.tensor([0.0, 1.0, -1.0, 0.0]), 2)
    found = map_of(network, x, "relevance-cam(layer='2', relu=false)", (1, 2))
    assert close(found, up(expected), 1e-3)  # what both classes share cancels, and with it some digits
    scores = torch.zeros(2, 4)
    mixture = AgainstMixture(torch.tensor([0, 1]), weights=torch.tensor([[0, 0.5, 0.5, 0], [1.0, 0, 0, 0]]))
    assert torch.equal(against_the_others(scores, mixture), torch.tensor([[1, -0.5, -0.5, 0], [-1.0, 1, 0, 0]]))
    plain = against_the_others(scores, Target.of([0, 2]))
    assert torch.equal(plain, torch.tensor([[1, -0.25, -0.25, -0.25], [-0.25, -0.25, 1, -0.25]]))


@pytest.mark.parametrize("target", range(4))
def test_before_pooling_and_a_linear_layer_weights_are_shares_of_the_scores_positive_parts(target: int) -> None:
    network, x = pooled(), picture(*SIZE)
    with torch.no_grad():
        activations = network[:2](x)[0]  # type: ignore[index]
        means = activations.mean((1, 2))
        parts = network[-1].weight.clamp(min=0) * means  # type: ignore[index]
        shares = parts / parts.sum(1, keepdim=True)
        weights = shares[target] - (shares.sum(0) - shares[target]) / 4
        expected = torch.einsum("k,khw->hw", weights, activations)
    assert close(map_of(network, x, "relevance-cam(relu=false)", target), up(expected), 1e-4)


@given(seed=st.integers(0, 1000), factor=st.floats(0.125, 64), constant=st.floats(-4, 4))
@settings(max_examples=10, deadline=None)
def test_neither_a_factor_on_the_scores_nor_a_constant_changes_a_thing(
    seed: int, factor: float, constant: float
) -> None:
    network, x = chain(seed), picture(*SIZE, seed=seed)
    before = map_of(network, x, "relevance-cam(relu=false)")
    with torch.no_grad():
        network[-1].weight.mul_(factor)
        network[-1].bias.add_(constant)
    after = map_of(network, x, "relevance-cam(relu=false)")
    assert torch.allclose(after, before, atol=1e-3 * max(float(before.abs().max()), 1e-3))
