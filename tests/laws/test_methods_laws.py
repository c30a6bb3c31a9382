"""Laws that follow from the formulas, for any linear, quadratic or pooled network that Hypothesis thinks of."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from maps import map_of, result_of
from small import Square, close, flat, picture, pooled, seeded

SIDES, SEEDS = st.integers(2, 7), st.integers(0, 10_000)
LAW = settings(max_examples=20, deadline=None, derandomize=True)


RULES = ["midpoint", "gauss-legendre", "right", "left", "trapezoid"]


@LAW
@given(SIDES, SIDES, SEEDS, st.sampled_from(RULES), st.integers(1, 4))
def test_integrated_gradients_of_a_linear_network_are_its_weights(
    height: int, width: int, seed: int, rule: str, steps: int
) -> None:
    network, x = flat(height, width, seed), picture(height, width, seed=seed)
    result = result_of(network, x, f"integrated-gradients(rule={rule}, steps={steps}, baseline=grey)", target=1)
    weights = network[1].weight[1].detach().reshape(3, height, width)
    assert close(torch.from_numpy(result.map), ((x[0] - 0.5) * weights).sum(0), 1e-4)
    assert abs(result.completeness_error or 0) < 1e-4


@LAW
@given(SIDES, SIDES, SEEDS)
def test_integrated_gradients_of_a_quadratic_network_are_complete_with_one_midpoint(
    height: int, width: int, seed: int
) -> None:
    network = seeded(Square(3 * height * width), seed)
    for spec in ("rule=midpoint, steps=1", "rule=gauss-legendre, steps=1"):
        result = result_of(network, picture(height, width, seed=seed), f"integrated-gradients({spec})", target=0)
        difference = abs(result.numbers["score_difference"])
        assert abs(result.completeness_error or 0) <= 1e-4 * max(1.0, difference)
        assert not any("add up" in warning for warning in result.warnings) or difference < 1e-3


class TwoWays(nn.Module):
    """The same function computed otherwise: the linear map split in two halves, with a sum that cancels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.linear = network[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat_x = x.flatten(1)
        return 0.25 * self.linear(flat_x) + 0.75 * self.linear(flat_x) + (flat_x.sum() - flat_x.sum())


@LAW
@given(SIDES, SIDES, SEEDS, st.sampled_from(["gradient", "integrated-gradients(steps=3)", "smooth-grad(samples=2)"]))
def test_maps_depend_on_the_function_and_not_on_how_it_is_computed(
    height: int, width: int, seed: int, method: str
) -> None:
    network, x = flat(height, width, seed), picture(height, width, seed=seed)
    assert close(map_of(network, x, method, target=2), map_of(TwoWays(network), x, method, target=2), 1e-4)


@LAW
@given(SIDES, SIDES, SEEDS)
def test_occlusion_by_one_pixel_of_a_linear_network_is_its_weights(height: int, width: int, seed: int) -> None:
    network, x = flat(height, width, seed), picture(height, width, seed=seed)
    found = map_of(network, x, "occlusion(window=1, stride=1, fill=black, score=logit)", target=0)
    expected = (x[0] * network[1].weight[0].detach().reshape(3, height, width)).sum(0)
    assert float((found - expected).abs().max()) <= 1e-5 * max(1.0, float(network(x).detach().abs().max()))


@LAW
@given(SIDES, SIDES, SEEDS, st.integers(1, 5), st.integers(1, 5))
def test_occlusion_drop_and_complement_differ_by_what_the_picture_lacks(
    height: int, width: int, seed: int, window: int, stride: int
) -> None:
    network, x = pooled(seed), picture(height, width, seed=seed)
    spec = f"occlusion(window={max(window, stride)}, stride={stride}, score={{}})"
    drop, complement = (result_of(network, x, spec.format(score), target=1) for score in ("drop", "complement"))
    assert torch.allclose(
        torch.from_numpy(complement.map - drop.map),
        torch.full((height, width), 1 - drop.target.probability),
        atol=1e-5,
    )


@LAW
@given(st.integers(3, 12), st.integers(3, 12), SEEDS, st.integers(0, 3))
def test_grad_cam_before_pooling_is_cam_over_the_number_of_cells(
    height: int, width: int, seed: int, target: int
) -> None:
    network, x = pooled(seed), picture(height, width, seed=seed)
    with torch.no_grad():
        activations, weights, bias = network[:2](x)[0], network[4].weight[target], network[4].bias[target]
        low = torch.einsum("k,khw->hw", weights, activations)
        assert float(low.mean() + bias) == pytest.approx(float(network(x)[0, target]), abs=1e-4)
    cells = low.numel()
    cam = map_of(network, x, "cam", target=target)
    signed = map_of(network, x, "grad-cam(relu=false)", target=target)
    assert close(signed * cells, cam, 1e-4)
    kept = map_of(network, x, "grad-cam", target=target)
    enlarged = torch.nn.functional.interpolate(low.relu()[None, None], (height, width), mode="bilinear")[0, 0]
    assert close(kept * cells, enlarged, 1e-4)


LINEAR = ["gradient", "integrated-gradients(steps=3)", "cam", "grad-cam(relu=false)", "smooth-grad(samples=2)"]


@LAW
@given(st.integers(3, 9), st.integers(3, 9), SEEDS, st.sampled_from(LINEAR))
def test_a_contrast_is_the_difference_of_two_maps(height: int, width: int, seed: int, method: str) -> None:
    network, x = pooled(seed), picture(height, width, seed=seed)
    one, other = (map_of(network, x, method, target=target) for target in (1, 3))
    found, scale = map_of(network, x, method, target="1-vs-3"), float(torch.stack([one, other]).abs().max())
    assert float((found - (one - other)).abs().max()) <= 1e-5 * max(scale, 1e-12) * 10


@LAW
@given(st.integers(3, 9), st.integers(3, 9), SEEDS, st.sampled_from(LINEAR), st.sampled_from([1e-6, 0.5, 3.0, 1e6]))
def test_scaling_the_score_scales_the_map(height: int, width: int, seed: int, method: str, factor: float) -> None:
    network, scaled, x = pooled(seed), pooled(seed), picture(height, width, seed=seed)
    with torch.no_grad():
        scaled[4].weight.mul_(factor)
        scaled[4].bias.mul_(factor)
    assert close(map_of(scaled, x, method, target=0), factor * map_of(network, x, method, target=0), 1e-4)
