"""Laws of class activation maps weighted by scores, on generated networks and pictures."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sightline.attribution.activation.channel_masks import ChannelMasks, strongest, unit
from sightline.attribution.activation.is_cam import Faded
from sightline.attribution.activation.ss_cam import Draws, Shaken
from sightline.attribution.result import Attribution
from sightline.passes.masks import MaskSource
from sightline.runs.explain import explain
from small import close, picture, pooled

SEEDS = st.integers(0, 1000)
FACTORS = st.floats(0.125, 64)


def map_of(network: nn.Module, x: torch.Tensor, spec: str, target: int = 1) -> torch.Tensor:
    found = explain(network, x, spec, target=target)
    assert isinstance(found, Attribution)
    return torch.from_numpy(found.map)


@pytest.mark.parametrize("spec", ["score-cam", "score-cam(weight=change)", "is-cam(steps=2)", "ss-cam(samples=2)"])
@given(seed=SEEDS, constant=st.floats(-4, 4))
@settings(max_examples=10, deadline=None)
def test_a_constant_added_to_the_score_changes_nothing(spec: str, seed: int, constant: float) -> None:
    network, x = pooled(seed), picture(8, 10, seed=seed)
    before = map_of(network, x, spec)
    with torch.no_grad():
        network[-1].bias.add_(constant)
    # What float32 keeps of a difference of scores grows with the scores, and each channel's share of the map with it.
    largest = float(network(x).abs().max()) + abs(constant)
    lost = 8 * torch.finfo(torch.float32).eps * largest * float(network[:2](x).sum(1).max())
    torch.testing.assert_close(map_of(network, x, spec), before, rtol=1e-5, atol=lost)


@given(seed=SEEDS, factor=FACTORS)
@settings(max_examples=10, deadline=None)
def test_ablation_cam_does_not_depend_on_the_unit_of_the_score(seed: int, factor: float) -> None:
    network, x = pooled(seed), picture(8, 10, seed=seed)
    before = map_of(network, x, "ablation-cam")
    with torch.no_grad():
        network[-1].weight.mul_(factor)
        network[-1].bias.mul_(factor)
    assert close(map_of(network, x, "ablation-cam"), before, 1e-3)


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_what_a_place_gives_one_class_it_takes_from_the_others_in_recipro_cam(seed: int) -> None:
    network, x = pooled(seed), picture(8, 10, seed=seed)
    total = sum(map_of(network, x, "recipro-cam", target) for target in range(4))
    assert isinstance(total, torch.Tensor)
    assert torch.allclose(total, torch.zeros(8, 10), atol=1e-5)


@given(seed=SEEDS, start=st.integers(0, 11), stop=st.integers(0, 12))
@settings(max_examples=30, deadline=None)
def test_masks_are_the_same_however_they_are_asked_for(seed: int, start: int, stop: int) -> None:
    activations = torch.randn(2, 3, 2, 3, generator=torch.Generator().manual_seed(seed))
    masks = ChannelMasks(activations, (5, 7))
    sources: list[MaskSource] = [
        masks,
        Shaken(Draws(masks, 4, 0.5, seed)),
        Faded(masks, torch.tensor([0.25, 0.5, 1.0])),
    ]
    for source in sources:
        whole = source.make(slice(0, len(source)))
        assert whole.shape == (len(source), 2, 1, 5, 7)
        if start < stop <= len(source):
            assert torch.allclose(source.make(slice(start, stop)), whole[start:stop])


@given(seed=SEEDS, scale=FACTORS, shift=st.floats(-8, 8))
@settings(max_examples=30, deadline=None)
def test_masks_go_from_zero_to_one_whatever_the_unit_of_the_activations(seed: int, scale: float, shift: float) -> None:
    activations = torch.randn(1, 4, 3, 4, generator=torch.Generator().manual_seed(seed))
    masks = ChannelMasks(activations, (9, 12)).make(slice(0, 4))
    assert torch.equal(masks.amin((-2, -1)), torch.zeros(4, 1, 1))
    assert torch.equal(masks.amax((-2, -1)), torch.ones(4, 1, 1))
    assert torch.allclose(ChannelMasks(activations * scale + shift, (9, 12)).make(slice(0, 4)), masks, atol=1e-3)
    assert not unit(torch.full((2, 3, 3), shift)).any()


@given(seed=SEEDS, channels=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_the_channels_that_vary_most_are_kept_for_each_picture(seed: int, channels: int) -> None:
    activations = torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(seed))
    kept = strongest(activations, channels)
    assert kept.shape[1] == min(channels, 5)
    for picture_, some in zip(activations, kept, strict=True):
        left = sorted(float(channel.var()) for channel in picture_)[-channels:]
        assert sorted(float(channel.var()) for channel in some) == pytest.approx(left)


def test_a_network_that_does_not_look_gets_no_map() -> None:
    network, x = pooled(), picture(8, 10)
    with torch.no_grad():
        network[-1].weight.zero_()
    for spec in (
        "score-cam",
        "is-cam(steps=2)",
        "ss-cam(samples=2)",
        "group-cam",
        "ablation-cam",
        "recipro-cam",
        "opti-cam(steps=3)",
    ):
        found = explain(network, x, spec, target=1)
        assert isinstance(found, Attribution)
        assert not found.map.any(), spec
        assert any("zero" in warning or "nothing" in warning for warning in found.warnings), (spec, found.warnings)
