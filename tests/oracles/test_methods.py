"""Every method against a slow, plain re-derivation of its formula."""

from __future__ import annotations

import copy
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from maps import map_of, result_of
from sightline.attribution.table import METHODS
from sightline.models.classifier import wrap
from sightline.runs.explain import explain
from sightline.testing.networks import Tokens, seeded
from small import close, finite_differences, flat, gradient_of, picture, pooled, smooth

# ---- occlusion -----------------------------------------------------------------------------------------------------


def slow_occlusion(
    network: nn.Module, x: torch.Tensor, target: int, window: tuple[int, int], stride: tuple[int, int], score: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The map, the label under every window and the probability under every window, by four nested loops."""
    height, width = x.shape[-2:]
    rows = max(0, math.ceil((height - window[0]) / stride[0])) + 1
    columns = max(0, math.ceil((width - window[1]) / stride[1])) + 1
    clean = network(x)[0]
    sums, counts = torch.zeros(height, width), torch.zeros(height, width)
    labels, probabilities = torch.zeros(rows, columns), torch.zeros(rows, columns)
    for row, column in itertools.product(range(rows), range(columns)):
        top, left = row * stride[0], column * stride[1]
        bottom, right = min(top + window[0], height), min(left + window[1], width)
        hidden = x.clone()
        hidden[:, :, top:bottom, left:right] = 0.5
        scores = network(hidden)[0]
        p = scores.softmax(0)[target]
        value = {
            "drop": clean.softmax(0)[target] - p,
            "complement": 1 - p,
            "logit": clean[target] - scores[target],
        }[score]
        for i, j in itertools.product(range(top, bottom), range(left, right)):
            sums[i, j] += value
            counts[i, j] += 1
        labels[row, column], probabilities[row, column] = scores.argmax(), p
    return sums / counts, labels, probabilities


@pytest.mark.parametrize("score", ["drop", "complement", "logit"])
@pytest.mark.parametrize(
    ("size", "window", "stride"),
    [
        ((7, 9), (3, 3), (2, 2)),
        ((8, 8), (3, 3), (2, 2)),
        ((8, 11), (3, 5), (2, 4)),
        ((6, 7), (4, 2), (1, 2)),
        ((5, 5), (9, 9), (3, 3)),
        ((1, 12), (1, 4), (1, 3)),
    ],
)
@torch.no_grad()
def test_occlusion(size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int], score: str) -> None:
    network, x = smooth(), picture(*size)
    result = result_of(network, x, f"occlusion(window={window}, stride={stride}, score={score})", target=1)
    expected, labels, probabilities = slow_occlusion(network, x, 1, window, stride, score)
    assert close(torch.from_numpy(result.map), expected, 1e-4)
    assert np.array_equal(result.arrays["labels"], labels.numpy())
    assert np.allclose(result.arrays["probabilities"], probabilities.numpy(), atol=1e-6)
    assert result.passes.forward == 1 + labels.numel()
    assert result.passes.backward == 0


@torch.no_grad()
def test_label_map_tells_which_class_wins_under_every_window() -> None:
    network, x = smooth(), picture(8, 8)
    network[-1].weight.mul_(50)  # so that hiding a part changes the winner somewhere
    result = result_of(network, x, "occlusion(window=4, stride=2)", target=0)
    _, labels, _ = slow_occlusion(network, x, 0, (4, 4), (2, 2), "drop")
    assert np.array_equal(result.arrays["labels"], labels.numpy())
    assert result.arrays["boxes"].shape == (labels.numel(), 4)


@torch.no_grad()
def test_occlusion_of_heads_that_are_not_softmax() -> None:
    x = picture(6, 6)
    hidden = x.clone()
    hidden[:, :, :3, :3] = 0.5
    one = smooth(classes=1)
    drop = map_of(one, x, "occlusion(window=3, stride=3)", target=1)[0, 0]
    assert drop.item() == pytest.approx(float((one(x).sigmoid() - one(hidden).sigmoid()).squeeze()), rel=1e-4)
    many = wrap(smooth(), head="sigmoid")
    drop = map_of(many, x, "occlusion(window=3, stride=3)", target=2)[0, 0]  # type: ignore[arg-type]
    network = smooth()
    assert drop.item() == pytest.approx(float((network(x).sigmoid() - network(hidden).sigmoid())[0, 2]), rel=1e-4)


@torch.no_grad()
def test_occlusion_of_a_contrast_is_of_the_two_classes_alone() -> None:
    network, x = smooth(), picture(6, 6)
    hidden = x.clone()
    hidden[:, :, :3, :3] = 0.5
    clean, covered = network(x)[0], network(hidden)[0]
    drop = map_of(network, x, "occlusion(window=3, stride=3)", target="0-vs-2")[0, 0]
    assert drop.item() == pytest.approx(float((clean[0] - clean[2]).sigmoid() - (covered[0] - covered[2]).sigmoid()))
    logit = map_of(network, x, "occlusion(window=3, stride=3, score=logit)", target="0-vs-2")[0, 0]
    assert logit.item() == pytest.approx(float((clean[0] - clean[2]) - (covered[0] - covered[2])), rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("fill", ["grey", "black", "white", "blur(sigma=1.5)", "uniform(seed=3)", "max-distance"])
def test_occlusion_shows_the_fill_in_the_window_and_nothing_else(fill: str) -> None:
    from sightline.images.fills import FILLS
    from sightline.images.values import ValueRange

    network, x = smooth(), picture(6, 8)
    filled = FILLS.make(fill).make(x, ValueRange.unit())
    hidden = x.clone()
    hidden[:, :, 0:3, 4:8] = filled[:, :, 0:3, 4:8]
    expected = float(network(x)[0, 1] - network(hidden)[0, 1])
    found = map_of(network, x, f"occlusion(window=(3, 4), stride=(3, 4), fill={fill}, score=logit)", target=1)
    assert found[0, 4].item() == pytest.approx(expected, rel=1e-4, abs=1e-7)


# ---- gradients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0, 2])
def test_gradient(target: int) -> None:
    x = picture(5, 6)
    expected = finite_differences(smooth(), x, lambda scores: scores[:, target])
    assert close(map_of(smooth(), x, "gradient", target=target), expected[0].sum(0), 1e-4)
    largest = map_of(smooth(), x, "gradient(channels=largest)", target=target)
    assert close(largest, expected[0].abs().amax(0), 1e-4)


def test_gradient_of_a_contrast() -> None:
    x = picture(5, 6)
    expected = finite_differences(smooth(), x, lambda scores: scores[:, 2] - scores[:, 1])
    assert close(map_of(smooth(), x, "gradient", target=(2, 1)), expected[0].sum(0), 1e-4)


def test_gradient_of_one_logit_is_signed_by_the_class() -> None:
    x = picture(5, 6)
    expected = finite_differences(smooth(1), x, lambda scores: scores[:, 0])[0].sum(0)
    assert close(map_of(smooth(1), x, "gradient", target=1), expected, 1e-4)
    assert close(map_of(smooth(1), x, "gradient", target=0), -expected, 1e-4)


def legendre_by_newton(steps: int) -> list[tuple[float, float]]:
    """Nodes and weights of Gauss-Legendre on (0, 1), from the recurrence and Newton's method."""
    found = []
    for i in range(steps):
        z = math.cos(math.pi * (i + 0.75) / (steps + 0.5))
        for _ in range(60):
            p, before = 1.0, 0.0
            for k in range(1, steps + 1):
                p, before = ((2 * k - 1) * z * p - (k - 1) * before) / k, p
            slope = steps * (z * p - before) / (z * z - 1)
            z -= p / slope
        found.append(((1 + z) / 2, 1 / ((1 - z * z) * slope * slope)))
    return found


@pytest.mark.parametrize("steps", [1, 2, 5, 12])
@pytest.mark.parametrize("rule", ["midpoint", "gauss-legendre"])
def test_integrated_gradients(rule: str, steps: int) -> None:
    network, x = smooth(), picture(6, 7)
    total = torch.zeros_like(x)
    points = [((j + 0.5) / steps, 1 / steps) for j in range(steps)] if rule == "midpoint" else legendre_by_newton(steps)
    for alpha, weight in points:
        total += weight * gradient_of(network, alpha * x, lambda scores: scores[:, 1])
    result = result_of(network, x, f"integrated-gradients(rule={rule}, steps={steps})", target=1)
    assert close(torch.from_numpy(result.map), (x * total)[0].sum(0), 1e-5)
    assert result.channels is not None
    assert close(torch.from_numpy(result.channels), (x * total)[0], 1e-5)
    assert (result.passes.forward, result.passes.backward) == (steps + 2, steps)
    with torch.no_grad():
        difference = float(network(x)[0, 1] - network(torch.zeros_like(x))[0, 1])
    assert result.numbers["score_difference"] == pytest.approx(difference, abs=1e-6)
    assert result.completeness_error == pytest.approx(float((x * total).sum()) - difference, abs=1e-5)


@pytest.mark.parametrize(
    "baseline",
    ["black", "grey", "white", "mean", "blur(sigma=2)", "uniform(seed=4)", "gaussian(seed=4)", "max-distance"],
)
def test_integrated_gradients_start_at_every_baseline(baseline: str) -> None:
    from sightline.images.fills import FILLS
    from sightline.images.values import ValueRange

    network, x = smooth(), picture(6, 7)
    start = FILLS.make(baseline).make(x, ValueRange.unit())
    total = torch.zeros_like(x)
    for j in range(8):
        total += gradient_of(network, start + (j + 0.5) / 8 * (x - start), lambda scores: scores[:, 0]) / 8
    found = map_of(network, x, f"integrated-gradients(steps=8, rule=midpoint, baseline={baseline})", target=0)
    assert close(found, ((x - start) * total)[0].sum(0), 1e-5)


def test_draws_average_over_baselines_of_following_seeds() -> None:
    network, x = smooth(), picture(6, 7)
    spec = "integrated-gradients(steps=4, baseline=uniform(seed={seed}), draws={draws})"
    each = [map_of(network, x, spec.format(seed=seed, draws=1), target=0) for seed in (7, 8, 9)]
    assert close(map_of(network, x, spec.format(seed=7, draws=3), target=0), torch.stack(each).mean(0), 1e-5)
    assert not close(each[0], each[1], 1e-3)


def test_integrated_gradients_of_two_pictures_with_two_targets() -> None:
    network, x = smooth(), picture(6, 7, pictures=2)
    found = explain(network, x, "integrated-gradients(steps=3)", target=[0, 2])
    assert isinstance(found, list)
    for place, target in ((0, 0), (1, 2)):
        alone = map_of(network, x[place], "integrated-gradients(steps=3)", target=target)
        assert close(torch.from_numpy(found[place].map), alone, 1e-5)


@pytest.mark.parametrize("of", ["gradient", "gradient(channels=largest)", "integrated-gradients(steps=2)"])
def test_smooth_grad(of: str) -> None:
    network, x = smooth(), picture(6, 7)
    generator = torch.Generator().manual_seed(11)
    sigma = 0.3 * (x.max() - x.min())
    total = torch.zeros(6, 7)
    for _ in range(5):
        noisy = x + sigma * torch.randn(3, 6, 7, generator=generator)
        total += map_of(network, noisy, of, target=1) / 5
    found = map_of(network, x, f"smooth-grad(of={of}, samples=5, spread=0.3, seed=11)", target=1)
    assert close(found, total, 1e-5)


# ---- class activation maps -----------------------------------------------------------------------------------------


def slow_grad_cam(body: nn.Module, head: nn.Module, x: torch.Tensor, target: int, relu: bool) -> torch.Tensor:
    """The network split by hand at the layer; weights and sum by loops."""
    activations = body(x).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(head(activations)[0, target], activations)
    low = torch.zeros(activations.shape[-2:])
    for channel in range(activations.shape[1]):
        low += gradient[0, channel].mean() * activations[0, channel].detach()
    low = low.clamp(min=0) if relu else low
    return functional.interpolate(low[None, None], x.shape[-2:], mode="bilinear", align_corners=False)[0, 0]


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_grad_cam_at_every_layer(place: int, relu: bool) -> None:
    network, x = smooth(), picture(9, 12)
    expected = slow_grad_cam(network[: place + 1], network[place + 1 :], x, 2, relu)
    result = result_of(network, x, f"grad-cam(layer={place}, relu={str(relu).lower()})", target=2)
    assert result.layer == str(place)
    assert close(torch.from_numpy(result.map), expected, 1e-5)
    assert (result.passes.forward, result.passes.backward) == (1, 1)


def test_grad_cam_of_tokens_leaves_out_the_class_token_and_lays_out_the_rest() -> None:
    network, x = seeded(lambda: Tokens(1))().eval(), picture(16, 24)
    embedded = network.patch_embed(x).flatten(2).transpose(1, 2)
    tokens = torch.cat([network.prefix, embedded], 1)
    tokens = network.blocks[0](tokens).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network.head(network.norm(network.blocks[1](tokens))[:, 0])[0, 3], tokens)
    low = torch.zeros(4, 6)
    for row, column in itertools.product(range(4), range(6)):
        cell = 1 + row * 6 + column
        for channel in range(16):
            low[row, column] += gradient[0, 1:, channel].mean() * tokens[0, cell, channel].detach()
    expected = functional.interpolate(low.relu()[None, None], (16, 24), mode="bilinear", align_corners=False)[0, 0]
    found = map_of(copy.deepcopy(network), x, "grad-cam(layer=blocks.0)", target=3)
    assert close(found, expected, 1e-4)


@torch.no_grad()
def test_cam() -> None:
    network, x = pooled(), picture(9, 12)
    activations, weights = network[:2](x)[0], network[4].weight[2]
    low = torch.zeros(activations.shape[-2:])
    for channel in range(6):
        low += weights[channel] * activations[channel]
    assert float(low.mean() + network[4].bias[2]) == pytest.approx(float(network(x)[0, 2]), abs=1e-5)
    expected = functional.interpolate(low[None, None], (9, 12), mode="bilinear", align_corners=False)[0, 0]
    result = result_of(network, x, "cam", target=2)
    assert result.layer == "1"
    assert close(torch.from_numpy(result.map), expected, 1e-5)
    contrast = map_of(network, x, "cam", target=(2, 0))
    assert close(contrast, expected - map_of(network, x, "cam", target=0), 1e-4)


def test_every_method_has_an_oracle() -> None:
    written = "\n".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    known = {
        name for name, cls in METHODS.items() for word in (name, cls.__name__) if re.search(rf"\b{word}\(", written)
    }
    known |= {name for name in METHODS if re.search(rf"\"{name}\"", written)}
    assert set(METHODS) - known == set(), "write a slow re-derivation of the new method"


def test_linear_network_has_its_weights_as_gradient() -> None:
    network, x = flat(5, 6), picture(5, 6)
    assert close(map_of(network, x, "gradient", target=1), network[1].weight[1].reshape(3, 5, 6).sum(0).detach(), 1e-6)
