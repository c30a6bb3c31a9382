"""Laws of the gradient family, for any linear, piecewise linear or smooth network that Hypothesis thinks of."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from maps import map_of, result_of
from sightline.attribution.table import METHODS
from sightline.images.fills import blurred
from sightline.passes.passes import Passes
from small import close, flat, picture, pooled, seeded, smooth

SIDES, SEEDS, STEPS = st.integers(2, 7), st.integers(0, 10_000), st.integers(1, 5)
LAW = settings(max_examples=15, deadline=None, derandomize=True)


def values_of(network: nn.Module, pixels: torch.Tensor, method: str) -> torch.Tensor:
    """The map before channels are summed, `b c h w`."""
    return METHODS.make(method)(Passes(network), pixels, 1).values


def rectified(seed: int, bias: bool) -> nn.Sequential:
    """Convolutions, ReLU, max-pooling and a linear layer: piecewise linear."""
    return seeded(  # type: ignore[return-value]
        nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1, bias=bias),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(5, 6, 3, padding=1, bias=bias),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 3, bias=bias),
        ),
        seed,
    )


@LAW
@given(SIDES, SIDES, SEEDS, STEPS, st.floats(0.01, 1), st.floats(0, 1))
def test_a_linear_network_gets_its_weights(
    height: int, width: int, seed: int, steps: int, fraction: float, most: float
) -> None:
    network, x = flat(height, width, seed), picture(height, width, seed=seed)
    weights = network[1].weight[1].detach().reshape(3, height, width)
    for method, start in (
        ("input-times-gradient(baseline=grey)", torch.full_like(x, 0.5)),
        (f"guided-ig(steps={steps}, fraction={fraction}, max_distance={most})", torch.zeros_like(x)),
        (f"blur-ig(steps={steps}, largest=2)", blurred(x, 2.0)),
        (f"expected-gradients(samples={steps}, baseline=white)", torch.ones_like(x)),
    ):
        assert close(values_of(network, x, method)[0], (x - start)[0] * weights, 1e-4), method


@LAW
@given(SIDES, SIDES, SEEDS, STEPS)
def test_idgi_of_a_linear_network_shares_the_difference_by_squared_weights(
    height: int, width: int, seed: int, steps: int
) -> None:
    network, x = flat(height, width, seed), picture(height, width, seed=seed)
    squares = network[1].weight[1].detach().reshape(3, height, width) ** 2
    with torch.no_grad():
        difference = (network(x) - network(torch.zeros_like(x)))[0, 1]
    for way in (f"integrated-gradients(steps={steps})", f"guided-ig(steps={steps})"):
        found = values_of(network, x, f"idgi(of={way})")[0]
        assert float((found - squares / squares.sum() * difference).abs().max()) < 1e-5


@LAW
@given(SIDES, SIDES, SEEDS, STEPS, st.sampled_from(["integrated-gradients", "guided-ig", "blur-ig"]))
def test_idgi_is_complete_with_any_number_of_steps(height: int, width: int, seed: int, steps: int, way: str) -> None:
    result = result_of(smooth(), picture(height, width, seed=seed), f"idgi(of={way}(steps={steps}))", target=0)
    assert abs(result.completeness_error or 0) < 1e-5


@LAW
@given(SIDES, SIDES, SEEDS, st.sampled_from(["uniform", "gaussian(sigma=0.3)"]), st.sampled_from([0.0, 0.3]))
def test_expected_gradients_of_a_linear_network_are_complete_with_any_draws(
    height: int, width: int, seed: int, baseline: str, noise: float
) -> None:
    network, x = flat(height, width, seed), picture(height, width, seed=seed)
    result = result_of(network, x, f"expected-gradients(samples=3, baseline={baseline}, noise={noise})", target=0)
    assert abs(result.completeness_error or 0) < 1e-4


@pytest.mark.parametrize("method", ["blur-ig(steps={}, largest=6)", "guided-ig(steps={})"])
def test_more_steps_miss_less(method: str) -> None:
    network, x = smooth(), picture(12, 15)
    errors = [abs(result_of(network, x, method.format(steps)).completeness_error or 0) for steps in (4, 16, 64)]
    assert errors[2] < errors[1] / 2 < errors[0] / 4
    assert errors[2] < 1e-3


def test_more_draws_miss_less() -> None:
    network, x = smooth(), picture(12, 15)
    few, many = (
        sum(
            abs(result_of(network, x, f"expected-gradients(samples={samples}, seed={seed})").completeness_error or 0)
            for seed in range(6)
        )
        for samples in (2, 128)
    )
    assert many < few / 3


@LAW
@given(SIDES, SIDES, SEEDS)
def test_without_biases_input_times_gradient_sums_to_the_score(height: int, width: int, seed: int) -> None:
    network, x = rectified(seed, bias=False), picture(height, width, seed=seed) - 0.5
    total = float(map_of(network, x, "input-times-gradient", target=1).sum())
    assert total == pytest.approx(float(network(x)[0, 1].detach()), abs=1e-5)


@LAW
@given(SIDES, SIDES, SEEDS, st.integers(0, 2))
def test_full_grad_takes_the_score_of_a_piecewise_linear_network_apart(
    height: int, width: int, seed: int, target: int
) -> None:
    network, x = rectified(seed, bias=True), picture(height, width, seed=seed)
    result = result_of(network, x, "full-grad", target=target)
    assert abs(result.numbers["missing_from_score"]) < 1e-5
    assert result.map.min() >= 0


@LAW
@given(SIDES, SIDES, SEEDS, st.sampled_from([1e-6, 3.0, 1e6]))
def test_full_grad_does_not_depend_on_the_scale_of_the_score(height: int, width: int, seed: int, factor: float) -> None:
    network, scaled, x = pooled(seed), pooled(seed), picture(height, width, seed=seed)
    with torch.no_grad():
        scaled[4].weight.mul_(factor)
        scaled[4].bias.mul_(factor)
    assert close(map_of(scaled, x, "full-grad", target=0), map_of(network, x, "full-grad", target=0), 1e-4)


@LAW
@given(SIDES, SIDES, SEEDS, STEPS)
def test_guided_ig_held_to_the_straight_way_is_integrated_gradients_with_left_ends(
    height: int, width: int, seed: int, steps: int
) -> None:
    network, x = smooth(), picture(height, width, seed=seed)
    total = torch.zeros_like(x)
    for step in range(steps):
        leaf = (step / steps * x).requires_grad_()
        (gradient,) = torch.autograd.grad(network(leaf)[0, 1], leaf)
        total += gradient / steps
    assert close(values_of(network, x, f"guided-ig(steps={steps}, max_distance=0)"), x * total, 1e-4)


@LAW
@given(SIDES, SIDES, SEEDS, st.integers(2, 6), st.sampled_from(["gradient", "input-times-gradient"]))
def test_the_mean_square_is_the_variance_and_the_squared_mean(
    height: int, width: int, seed: int, samples: int, of: str
) -> None:
    network, x = smooth(), picture(height, width, seed=seed)
    fields = f"(of={of}, samples={samples}, seed={seed})"
    mean, square, variance = (
        values_of(network, x, name + fields) for name in ("smooth-grad", "smooth-grad-squared", "var-grad")
    )
    assert close(square, variance + mean**2, 1e-5)
    unbiased = values_of(network, x, f"var-grad(of={of}, samples={samples}, seed={seed}, divisor=n-1)")
    assert close(unbiased, variance * samples / (samples - 1), 1e-5)


@LAW
@given(SIDES, SIDES, SEEDS)
def test_a_linear_network_never_changes_its_gradient(height: int, width: int, seed: int) -> None:
    network, x = flat(height, width, seed), picture(height, width, seed=seed)
    assert float(map_of(network, x, "var-grad(samples=4)").abs().max()) < 1e-10
    squares = (network[1].weight[1].detach().reshape(3, height, width) ** 2).sum(0)
    assert close(map_of(network, x, "smooth-grad-squared(samples=4)", target=1), squares, 1e-4)


LINEAR = [
    "input-times-gradient", "expected-gradients(samples=2)", "blur-ig(steps=3, largest=2)",
]  # fmt: skip


@LAW
@given(SIDES, SIDES, SEEDS, st.sampled_from(LINEAR))
def test_a_contrast_is_the_difference_of_two_maps(height: int, width: int, seed: int, method: str) -> None:
    network, x = smooth(), picture(height, width, seed=seed)
    one, other = (map_of(network, x, method, target=target) for target in (1, 2))
    found = map_of(network, x, method, target="1-vs-2")
    assert float((found - (one - other)).abs().max()) <= 1e-5 * float(torch.stack([one, other]).abs().max())
