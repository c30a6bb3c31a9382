"""Poly-CAM against a plain re-derivation of the authors' code, and its laws."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from sightline.attribution.activation.poly_cam import refined, trimmed
from sightline.attribution.result import Attribution
from sightline.errors import LayerError
from sightline.runs.explain import explain
from sightline.testing import networks
from small import close, picture, seeded

SIZE = (16, 24)
LAYERS = ("1", "3", "5")
SEEDS = st.integers(0, 1000)


def three_grids(seed: int = 4, act: type[nn.Module] = nn.ReLU) -> Any:
    """Three convolutions, each on a grid half as fine as the one before."""
    return seeded(
        nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1),
            act(),
            nn.Conv2d(5, 6, 3, stride=2, padding=1),
            act(),
            nn.Conv2d(6, 7, 3, stride=2, padding=1),
            act(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(7, 4),
        ),
        seed,
    )


def result_of(network: nn.Module, x: torch.Tensor, spec: str, target: int = 1) -> Attribution:
    found = explain(network, x, spec, target=target)
    assert isinstance(found, Attribution)
    return found


def map_of(network: nn.Module, x: torch.Tensor, spec: str, target: int = 1) -> torch.Tensor:
    return torch.from_numpy(result_of(network, x, spec, target).map)


# ---- the authors' code, once more ------------------------------------------------------------------------------------


def normal(map: torch.Tensor, stretch: str) -> torch.Tensor:
    low, high = np.percentile(map.numpy(), [0.1, 99.9])
    divisor = max(high if stretch == "largest" else high - low, 1e-12)
    return ((map - low) / divisor).clamp(0, 1).float()


def resized(map: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    return functional.interpolate(map[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def probability(network: nn.Module, x: torch.Tensor, target: int) -> float:
    return float(network(x).double().softmax(1)[0, target])


def layer_map(network: Any, x: torch.Tensor, layer: str, weight: str, stretch: str, target: int) -> torch.Tensor:
    activations = network[: int(layer) + 1](x)[0]
    total, clean = torch.zeros(activations.shape[1:]), probability(network, x, target)
    for channel in activations:
        mask = resized(normal(channel, stretch), SIZE)
        kept, lost = probability(network, x * mask, target), clean - probability(network, x * (1 - mask), target)
        total += max(0.0, {"plus": kept, "minus": lost, "plus-minus": kept + lost}[weight]) * channel
    return total.clamp(min=0)


def authors(network: Any, x: torch.Tensor, weight: str, stretch: str, target: int, norm: bool = True) -> torch.Tensor:
    before = None
    for layer in reversed(LAYERS):
        own = layer_map(network, x, layer, weight, stretch, target)
        if before is not None:
            if norm:
                own = own / resized(resized(own, before.shape), own.shape).clamp(min=1e-12)
            own = own * resized(before, own.shape)
        before = own
    assert before is not None
    return resized(normal(before, stretch), SIZE)


@pytest.mark.parametrize("stretch", ["range", "largest"])
@pytest.mark.parametrize("weight", ["plus-minus", "plus", "minus"])
@torch.no_grad()
def test_authors_code(weight: str, stretch: str) -> None:
    network, x = three_grids(), picture(*SIZE)
    expected = authors(network, x, weight, stretch, 1)
    assert float(expected.max()) > 0.1
    result = result_of(network, x, f"poly-cam(weight={weight}, stretch={stretch})")
    assert result.layer == "5, 3, 1"
    assert close(torch.from_numpy(result.map), expected, 1e-4)
    each = 2 if weight == "plus-minus" else 1
    assert result.passes.forward == 1 + 2 + each * (5 + 6 + 7)  # the clean pass, a look at each finer layer, the masks
    assert result.passes.backward == 0
    assert not close(expected, authors(network, x, weight, stretch, 1, norm=False), 1e-2)
    named = map_of(network, x, f"poly-cam(weight={weight}, stretch={stretch}, layers=('1', '3', '5'))")
    assert close(named, expected, 1e-4)


@torch.no_grad()
def test_where_values_are_of_both_signs_a_mask_still_goes_from_zero_to_one() -> None:
    network, x = three_grids(act=nn.Tanh), picture(*SIZE)
    for place in (0, 2, 4):
        network[place].bias += 0.5  # else the weighted sums are negative nearly everywhere
    found = map_of(network, x, "poly-cam")
    assert float(found.max()) > 0.1
    assert close(found, authors(network, x, "plus-minus", "range", 1), 1e-4)
    assert not close(found, authors(network, x, "plus-minus", "largest", 1), 1e-2)


@torch.no_grad()
def test_the_channels_that_vary_most() -> None:
    network, x = three_grids(), picture(*SIZE)
    assert torch.equal(map_of(network, x, "poly-cam(channels=7)"), map_of(network, x, "poly-cam"))
    for name, later in pairwise(LAYERS):
        result = result_of(network, x, f"poly-cam(channels=2, layers=('{name}', '{later}'))")
        assert result.passes.forward == 1 + 2 * (2 + 2)
    activations = network[:6](x)[0]
    best = activations.flatten(1).var(1).argmax()
    one = map_of(network, x, "poly-cam(channels=1, layers=('5',))")
    assert not one.any() or close(one, resized(normal(activations[best], "range"), SIZE), 1e-4)


def test_layers_out_of_order_and_layers_with_a_gap() -> None:
    network, x = three_grids(), picture(*SIZE)
    with pytest.raises(LayerError, match=r"'5' is coarser than the later layer '1': give `layers` in the network's"):
        result_of(network, x, "poly-cam(layers=('5', '1'))")
    with torch.no_grad():
        coarse, fine = (layer_map(network, x, name, "plus", "range", 1) for name in ("5", "1"))
        around = fine.unfold(0, 4, 4).unfold(1, 4, 4).mean((2, 3))  # four cells of one grid lie on one of the other
        expected = normal(fine / resized(around, SIZE).clamp(min=1e-12) * resized(coarse, SIZE), "range")
    assert close(map_of(network, x, "poly-cam(weight=plus, layers=('1', '5'))"), expected, 1e-4)


def test_shared_activations_are_looked_at_as_their_plain_twins() -> None:
    specimen = next(one for one in networks() if one.name == "shared relu")
    spec = "poly-cam(layers=(conv1, conv2))"
    own, twin = (map_of(build().eval(), specimen.pixels(), spec) for build in (specimen.build, specimen.twin))  # type: ignore[misc]
    assert float(own.max()) > 0
    assert close(own, twin, 1e-6)


# ---- laws ------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, constant=st.floats(-4, 4))
@settings(max_examples=8, deadline=None)
def test_a_constant_added_to_every_score_changes_nothing(seed: int, constant: float) -> None:
    network, x = three_grids(seed), picture(*SIZE, seed=seed)
    before = map_of(network, x, "poly-cam(channels=2)")
    assert 0 <= float(before.min()) <= float(before.max()) <= 1
    with torch.no_grad():
        network[-1].bias.add_(constant)
    assert close(map_of(network, x, "poly-cam(channels=2)"), before, 1e-3)


@pytest.mark.parametrize("weight", ["plus-minus", "plus", "minus"])
def test_a_class_near_probability_zero_has_the_map_of_its_proportions(weight: str) -> None:
    network, x = three_grids(), picture(*SIZE)
    with torch.no_grad():
        network[-1].bias[1] -= 20
        before = map_of(network, x, f"poly-cam(weight={weight})")
        network[-1].bias[1] -= 40
        after = map_of(network, x, f"poly-cam(weight={weight})")
    assert float(before.max()) > 0.1
    assert close(before, after, 1e-3)


def test_a_network_that_does_not_look_has_no_map() -> None:
    network, x = three_grids(), picture(*SIZE)
    with torch.no_grad():
        network[-1].weight.zero_()
    for weight in ("plus-minus", "plus", "minus"):
        assert not map_of(network, x, f"poly-cam(weight={weight})").any()


@given(seed=SEEDS, height=st.integers(1, 40), width=st.integers(2, 60), shift=st.floats(-3, 3))
@settings(max_examples=40, deadline=None)
def test_outliers_are_cut_as_numpy_cuts_them(seed: int, height: int, width: int, shift: float) -> None:
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed)) + shift
    found = trimmed(maps, "range")
    for one, other in zip(maps.flatten(0, 1), found.flatten(0, 1), strict=True):
        assert torch.allclose(other, normal(one, "range"), atol=1e-4)


@given(seed=SEEDS, scale=st.floats(1e-3, 1e3))
@settings(max_examples=30, deadline=None)
def test_refining_does_not_depend_on_the_finer_maps_unit_and_keeps_what_is_nothing(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    own, coarse = torch.rand(1, 1, 8, 12, generator=generator), torch.rand(1, 1, 4, 6, generator=generator)
    assert torch.allclose(refined(own * scale, coarse), refined(own, coarse), rtol=1e-3)
    assert torch.allclose(refined(torch.full_like(own, scale), coarse), resized(coarse[0, 0], (8, 12)), rtol=1e-3)
    assert not refined(own, torch.zeros_like(coarse)).any()
