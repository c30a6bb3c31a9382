"""The gradient family against slow, plain re-derivations of the formulas."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from maps import result_of
from sightline.attribution.base import Method
from sightline.attribution.gradient import full_grad, xrai
from sightline.attribution.gradient.expected_gradients import Draws, ExpectedGradients
from sightline.errors import SpecError
from sightline.images.values import ValueRange
from sightline.passes.passes import Passes
from small import close, finite_differences, gradient_of, picture, seeded, smooth


def channels_of(network: nn.Module, pixels: torch.Tensor, method: str | Method, target: int = 1) -> torch.Tensor:
    found = result_of(network, pixels, method, target=target).channels
    assert found is not None
    return torch.from_numpy(found)


def slope(network: nn.Module, x: torch.Tensor, target: int = 1) -> torch.Tensor:
    return gradient_of(network, x, lambda scores: scores[:, target])


def score(network: nn.Module, x: torch.Tensor, target: int = 1) -> float:
    with torch.no_grad():
        return float(network(x)[0, target])


# ---- input × gradient, expected gradients --------------------------------------------------------------------------


@pytest.mark.parametrize(("baseline", "start"), [("none", 0.0), ("grey", 0.5), ("white", 1.0)])
def test_input_times_gradient(baseline: str, start: float) -> None:
    x = picture(5, 6)
    expected = (x - start) * finite_differences(smooth(), x, lambda scores: scores[:, 1])
    assert close(channels_of(smooth(), x, f"input-times-gradient(baseline={baseline})"), expected[0], 1e-4)
    result = result_of(smooth(), x, "gradient-x-input", target=1)
    assert (result.passes.forward, result.passes.backward) == (1, 1)


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("baseline", ["uniform", "black", "gaussian(sigma=0.5)"])
def test_expected_gradients(noise: float, baseline: str) -> None:
    network, x = smooth(), picture(5, 6)
    method = ExpectedGradients(samples=7, noise=noise, baseline=baseline, seed=3)  # type: ignore[arg-type]
    total, ends, starts = torch.zeros_like(x), 0.0, 0.0
    for draw in range(7):
        start, end, alpha = Draws(method, ValueRange.unit()).ends(x, draw)
        total += (end - start) * slope(network, start + alpha * (end - start)) / 7
        ends, starts = ends + score(network, end) / 7, starts + score(network, start) / 7
    result = result_of(network, x, method, target=1)
    assert close(torch.from_numpy(result.map), total[0].sum(0), 1e-5)
    assert result.numbers["score_difference"] == pytest.approx(ends - starts, abs=1e-5)
    assert (result.passes.forward, result.passes.backward) == (1 + 14 + 7 * (noise > 0), 7)


def test_draws_differ_in_baseline_point_and_noise_and_are_the_same_however_many_are_made() -> None:
    x = picture(5, 6)
    draws = Draws(ExpectedGradients(samples=50, noise=0.2), ValueRange.unit())
    starts, ends, points = zip(*(draws.ends(x, draw) for draw in range(50)), strict=True)
    assert len({float(start.sum()) for start in starts}) == len({float(end.sum()) for end in ends}) == 50
    assert len(set(points)) == 50
    assert 0.3 < float(np.mean(points)) < 0.7
    assert abs(np.corrcoef(points, [float(start.flatten()[0]) for start in starts])[0, 1]) < 0.4
    at_once = draws.make(x, slice(0, 6))
    assert torch.equal(at_once, torch.cat([draws.make(x, slice(draw, draw + 1)) for draw in range(6)]))
    assert float((torch.stack(ends) - x).std()) == pytest.approx(0.2, rel=0.1)


# ---- noise wrappers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["gradient", "gradient(channels=largest)", "integrated-gradients(steps=2)"])
def test_squared_and_variance(of: str) -> None:
    network, x = smooth(), picture(6, 7)
    generator, sigma = torch.Generator().manual_seed(11), 0.3 * (x.max() - x.min())
    each = []
    for _ in range(5):
        result = result_of(network, x + sigma * torch.randn(3, 6, 7, generator=generator), of, target=1)
        each.append(result.channels if result.channels is not None else result.map[None])
    values, fields = np.stack(each), f"of={of}, samples=5, spread=0.3, seed=11"
    for method, expected in (
        (f"smooth-grad-squared({fields})", (values**2).mean(0)),
        (f"var-grad({fields})", values.var(0)),
        (f"var-grad({fields}, divisor=n-1)", values.var(0, ddof=1)),
    ):
        found = result_of(network, x, method, target=1)
        assert close(torch.from_numpy(found.map), torch.from_numpy(expected.sum(0)), 1e-4)
        assert found.map.min() >= 0


# ---- ways ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spacing", "power"), [("linear", 1), ("quadratic", 2)])
def test_blur_ig(spacing: str, power: int) -> None:
    scipy = pytest.importorskip("scipy.ndimage")
    network, x, steps, largest = smooth(), picture(9, 11), 6, 3.0

    def at(sigma: float) -> torch.Tensor:
        sides = [scipy.gaussian_filter(side.numpy().astype(float), sigma, mode="reflect") for side in x[0]]
        return torch.from_numpy(np.stack(sides))[None].float()

    total = torch.zeros_like(x)
    for j in range(steps):
        first, middle, last = (largest * (1 - (j + part) / steps) ** power for part in (0, 0.5, 1))
        total += (at(last) - at(first)) * slope(network, at(middle))
    result = result_of(network, x, f"blur-ig(steps={steps}, largest={largest}, spacing={spacing})", target=1)
    assert close(torch.from_numpy(result.map), total[0].sum(0), 1e-4)
    difference = score(network, x) - score(network, at(largest))
    assert result.numbers["score_difference"] == pytest.approx(difference, abs=1e-6)
    assert (result.passes.forward, result.passes.backward) == (steps + 2, steps)


def slow_guided(
    network: nn.Module, x: torch.Tensor, start: torch.Tensor, steps: int, fraction: float, most: float
) -> NDArray[np.float64]:
    """Algorithm 1 on the pixels themselves, as the authors state it, one feature after the other."""
    end, begin = x[0].double().numpy().ravel(), start[0].double().numpy().ravel()
    here, found, whole = begin.copy(), np.zeros(end.size), np.abs(end - begin).sum()
    for step in range(steps):
        gradient = slope(network, torch.from_numpy(here.reshape(x.shape)).float())[0].double().numpy().ravel()
        alpha = (step + 1) / steps
        low, high = (begin + part * (end - begin) for part in (max(alpha - most, 0), min(alpha + most, 1)))
        goal, closed, part = whole * (1 - alpha), np.abs(gradient).copy(), np.inf
        while part > 1:
            before = here.copy()
            for i in range(end.size):
                if abs(here[i] - begin[i]) < abs(low[i] - begin[i]):
                    here[i] = low[i]
            distance = np.abs(here - end).sum()
            if np.isclose(distance, goal, rtol=1e-9, atol=1e-9):
                found += gradient * (here - before)
                break
            closed[np.abs(here - begin) >= np.abs(high - begin) - 1e-12] = np.inf
            threshold = np.sort(closed)[int(fraction * (end.size - 1))]
            moving = [i for i in range(end.size) if closed[i] <= threshold and np.isfinite(closed[i])]
            part = (distance - goal) / sum(abs(here[i] - high[i]) for i in moving)
            for i in moving:
                here[i] = high[i] if part > 1 else here[i] + part * (high[i] - here[i])
            found += gradient * (here - before)
    assert np.allclose(here, end)
    return found.reshape(x.shape[1:])


@pytest.mark.parametrize(("fraction", "most"), [(0.25, 0.02), (0.25, 0.3), (0.1, 1.0), (1.0, 0.1), (0.5, 0.0)])
def test_guided_ig(fraction: float, most: float) -> None:
    network, x = smooth(), picture(5, 6)
    expected = slow_guided(network, x, torch.full_like(x, 0.4), 6, fraction, most)
    from sightline.images import fills

    class Flat(fills.Fill):
        """0.4 everywhere."""

        def make(self, pixels: torch.Tensor, values: ValueRange) -> torch.Tensor:
            return torch.full_like(pixels, 0.4)

    from sightline.attribution.gradient.guided_ig import GuidedIG

    method = GuidedIG(steps=6, fraction=fraction, max_distance=most, baseline=Flat())
    result = result_of(network, x, method, target=1)
    assert close(torch.from_numpy(result.map), torch.from_numpy(expected).sum(0).float(), 1e-4)
    assert (result.passes.forward, result.passes.backward) == (1 + 6, 6)


def slow_idgi(network: nn.Module, points: list[torch.Tensor]) -> torch.Tensor:
    total = torch.zeros_like(points[0])
    for here, there in itertools.pairwise(points):
        squares = slope(network, here) ** 2
        total += squares / squares.sum() * (score(network, there) - score(network, here))
    return total


def test_idgi_on_the_straight_way() -> None:
    network, x = smooth(), picture(6, 7)
    points = [j / 5 * x for j in range(6)]
    result = result_of(network, x, "idgi(of=integrated-gradients(steps=5))", target=1)
    assert close(torch.from_numpy(result.map), slow_idgi(network, points)[0].sum(0), 1e-4)
    assert (result.passes.forward, result.passes.backward) == (1 + 6, 6)
    white = result_of(network, x, "idgi(of=integrated-gradients(steps=5, baseline=white))", target=1)
    expected = slow_idgi(network, [1 + j / 5 * (x - 1) for j in range(6)])
    assert close(torch.from_numpy(white.map), expected[0].sum(0), 1e-4)


def test_idgi_along_a_blur_and_over_draws() -> None:
    from sightline.images.fills import Uniform, blurred

    network, x = smooth(), picture(6, 7)
    points = [blurred(x, 2.0 * (1 - j / 4)) for j in range(5)]
    found = result_of(network, x, "idgi(of=blur-ig(steps=4, largest=2))", target=1)
    assert close(torch.from_numpy(found.map), slow_idgi(network, points)[0].sum(0), 1e-4)
    each = []
    for seed in (4, 5):
        start = Uniform(seed=seed).make(x, ValueRange.unit())
        each.append(slow_idgi(network, [start + j / 3 * (x - start) for j in range(4)]))
    both = result_of(network, x, "idgi(of=integrated-gradients(steps=3, baseline=uniform(seed=4), draws=2))", target=1)
    assert close(torch.from_numpy(both.map), torch.stack(each).mean(0)[0].sum(0), 1e-4)


def test_idgi_refuses_a_method_without_a_way() -> None:
    with pytest.raises(SpecError, match="integrated-gradients, blur-ig and guided-ig"):
        result_of(smooth(), picture(4, 4), "idgi(of=gradient)")


# ---- FullGrad ------------------------------------------------------------------------------------------------------


def with_normalisation(bias: bool = True) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU, convolution, ReLU, average, linear, with statistics and biases."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=bias),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    )
    seeded(network, 4)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        network[1].running_mean.copy_(torch.randn(4, generator=generator))
        network[1].running_var.copy_(0.5 + torch.rand(4, generator=generator))
        for parameter in (network[1].weight, network[1].bias, network[3].bias, network[7].bias):
            parameter.copy_(0.2 + torch.rand(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize("scale", ["layer", "none"])
def test_full_grad(scale: str) -> None:
    network, x = with_normalisation(), picture(9, 12)
    first, norm, second, linear = network[0], network[1], network[3], network[7]
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    # The biases as pictures of their own, laid where they act.
    biases = [
        first.bias.detach()[None, :, None, None].expand(1, 4, 9, 12),
        (norm.bias - norm.running_mean * factor).detach()[None, :, None, None].expand(1, 4, 9, 12),
        second.bias.detach()[None, :, None, None].expand(1, 5, 5, 6),
    ]
    leaves = [part.clone().requires_grad_() for part in (x, *biases)]
    hidden = functional.conv2d(leaves[0], first.weight, None, padding=1) + leaves[1]
    hidden = (hidden * factor[None, :, None, None] + leaves[2]).relu()
    hidden = (functional.conv2d(hidden, second.weight, None, stride=2, padding=1) + leaves[3]).relu()
    scores = linear(hidden.mean((2, 3)))
    assert torch.allclose(scores, network(x), atol=1e-5)
    parts = [leaf * slope for leaf, slope in zip(leaves, torch.autograd.grad(scores[0, 1], leaves), strict=True)]
    assert float(sum(part.sum() for part in parts).detach() + linear.bias[1].detach()) == pytest.approx(
        float(scores[0, 1].detach()), abs=1e-5
    )
    total = torch.zeros(1, 1, 9, 12)
    for part in parts:
        size = part.detach().abs()
        if scale == "layer":
            size = (size - size.min()) / (size.max() - size.min())
        total += functional.interpolate(size, (9, 12), mode="bilinear", align_corners=False).sum(1, keepdim=True)
    result = result_of(network, x, f"full-grad(scale={scale})", target=1)
    assert np.ptp(result.map) > 0.1 * result.map.max()  # the network is not dead
    assert close(torch.from_numpy(result.map), total[0, 0], 1e-4)
    assert abs(result.numbers["missing_from_score"]) < 1e-4
    assert not result.warnings
    assert (result.passes.forward, result.passes.backward) == (2, 1)


def test_full_grad_without_the_bias_of_normalisation_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = full_grad.biases_of

    def forgetful(network: nn.Module) -> dict[str, tuple[torch.Tensor, bool]]:
        plain = copy.deepcopy(network)
        plain[1].running_mean.zero_()
        return whole(plain)

    monkeypatch.setattr(full_grad, "biases_of", forgetful)
    result = result_of(with_normalisation(), picture(9, 12), "full-grad", target=1)
    assert abs(result.numbers["missing_from_score"]) > 0.01
    assert any("missing_from_score" in warning for warning in result.warnings)


def test_full_grad_says_where_a_network_is_not_piecewise_linear() -> None:
    result = result_of(smooth(), picture(6, 7), "full-grad", target=1)
    assert any("missing_from_score" in warning for warning in result.warnings)


# ---- XRAI ----------------------------------------------------------------------------------------------------------


def slow_growth(regions: NDArray[np.bool_], values: NDArray[np.float64], fewest: int) -> NDArray[np.float64]:
    """Regions one at a time, every mean taken anew over sets of places."""
    left = {n: set(np.flatnonzero(region).tolist()) for n, region in enumerate(regions)}
    found, covered = np.full(values.size, np.nan), set()
    while True:
        gains = {
            n: np.mean([values[p] for p in region - covered])
            for n, region in left.items()
            if len(region - covered) >= fewest
        }
        if not gains:
            break
        best = max(gains, key=lambda n: gains[n])
        for p in left[best] - covered:
            found[p] = gains[best]
        covered |= left.pop(best)
    rest = [p for p in range(values.size) if p not in covered]
    if rest:
        found[rest] = np.mean(values[rest])
    return found


@pytest.mark.parametrize("fewest", [1, 4])
@pytest.mark.parametrize("seed", range(5))
def test_xrai_grows_regions(seed: int, fewest: int) -> None:
    generator = np.random.default_rng(seed)
    regions, values = generator.random((12, 60)) < 0.2, generator.normal(size=60)
    regions[:, :3] = False  # no region covers these
    found = xrai.grow(regions, values, fewest, "grown")
    assert np.allclose(found, slow_growth(regions, values, fewest))
    assert found.sum() == pytest.approx(values.sum())
    assert np.allclose(found[:3], found[0])


@pytest.mark.parametrize("fewest", [1, 4])
@pytest.mark.parametrize("seed", range(5))
def test_xrai_orders_regions_once(seed: int, fewest: int) -> None:
    generator = np.random.default_rng(seed)
    regions, values = generator.random((12, 60)) < 0.2, generator.normal(size=60)
    regions[:, :3] = False  # no region covers these
    expected, covered = np.zeros(60), np.zeros(60, bool)
    for region in sorted(regions, key=lambda region: -values[region].mean()):
        new = region & ~covered
        if new.sum() >= fewest:
            expected[new], covered = values[new].mean(), covered | region
    expected[~covered] = values[~covered].mean()
    assert np.allclose(xrai.grow(regions, values, fewest, "once"), expected)
    assert not np.allclose(xrai.grow(regions, values, fewest, "grown"), expected)


@pytest.mark.parametrize("radius", [0, 1, 3, 9])
def test_xrai_enlarges_regions_by_a_disk(radius: int) -> None:
    labels = np.random.default_rng(radius).integers(0, 4, (7, 9))
    found = xrai.enlarged(labels, radius)
    for n, i, j in itertools.product(range(4), range(7), range(9)):
        near = any((y - i) ** 2 + (x - j) ** 2 <= radius**2 for y, x in np.argwhere(labels == n))
        assert bool(found[n, i, j]) == near


@pytest.mark.parametrize("channels", ["largest", "sum"])
def test_xrai(channels: str) -> None:
    pytest.importorskip("skimage")
    network, x = smooth(), torch.zeros(1, 3, 48, 64)
    x[:, 0, :, :30], x[:, 1, 25:, 30:] = 0.9, 0.8
    spec = "integrated-gradients(steps=3, baseline={})"
    both = [channels_of(network, x, spec.format(baseline)) for baseline in ("black", "white")]
    mean = torch.stack(both).mean(0)
    flat = (mean.amax(0) if channels == "largest" else mean.sum(0)).double().numpy()
    regions = xrai.regions_of(x, Passes(network))
    assert regions.shape[0] >= 6
    assert regions.shape[1:] == (48, 64)
    expected = slow_growth(regions.reshape(len(regions), -1), flat.ravel(), round(50 * 48 * 64 / 224**2))
    result = result_of(network, x, f"xrai(steps=3, channels={channels})", target=1)
    assert np.allclose(result.map.ravel(), expected, atol=1e-5 * np.abs(expected).max())
    assert float(result.map.sum()) == pytest.approx(float(flat.sum()), abs=1e-4)
    assert len(np.unique(result.map.round(7))) < 40  # regions, not pixels
