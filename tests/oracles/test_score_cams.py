"""Class activation maps weighted by scores against slow, plain re-derivations of their formulas."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from maps import map_of, result_of
from sightline.images.fills import IgosBlur
from sightline.images.values import ValueRange
from sightline.testing.networks import Tokens
from sightline.testing.networks import seeded as built
from small import close, gradient_of, picture, pooled, smooth

SIZE = (8, 10)


def parts(network: nn.Module, cut: int) -> tuple[nn.Module, nn.Module]:
    """A sequential network before and after the output of the module `cut`."""
    modules = list(network)  # type: ignore[call-overload]
    return nn.Sequential(*modules[: cut + 1]), nn.Sequential(*modules[cut + 1 :])


def stretched(map: torch.Tensor) -> torch.Tensor:
    low, high = float(map.min()), float(map.max())
    return (map - low) / (high - low) if high > low else torch.zeros_like(map)


def up(map: torch.Tensor, size: tuple[int, int] = SIZE) -> torch.Tensor:
    """Bilinear enlargement of one map `h w`, pixel by pixel."""
    height, width = map.shape
    out = torch.zeros(size)
    for i, j in itertools.product(range(size[0]), range(size[1])):
        y = min(max((i + 0.5) * height / size[0] - 0.5, 0), height - 1)
        x = min(max((j + 0.5) * width / size[1] - 0.5, 0), width - 1)
        top, left = int(y), int(x)
        down, right = min(top + 1, height - 1), min(left + 1, width - 1)
        a, b = y - top, x - left
        upper = (1 - b) * map[top, left] + b * map[top, right]
        out[i, j] = (1 - a) * upper + a * ((1 - b) * map[down, left] + b * map[down, right])
    return out


def read(network: nn.Module, x: torch.Tensor, target: int, score: str) -> float:
    scores = network(x)[0]
    return float(scores[target] if score == "logit" else scores.softmax(0)[target])


def weighted(weights: list[float], activations: torch.Tensor) -> torch.Tensor:
    """ReLU of the weighted sum, at the picture."""
    total = torch.zeros(activations.shape[1:])
    for weight, channel in zip(weights, activations, strict=True):
        total += weight * channel
    return up(total.clamp(min=0))


def softmax(values: list[float]) -> list[float]:
    powers = [float(torch.tensor(value).double().exp()) for value in values]
    return [power / sum(powers) for power in powers]


# ---- Score-CAM, SS-CAM, IS-CAM -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["enlarge-first", "normalise-first"])
@pytest.mark.parametrize("weight", ["softmax", "change", "score"])
@pytest.mark.parametrize("score", ["logit", "probability"])
@torch.no_grad()
def test_score_cam(score: str, weight: str, order: str) -> None:
    network, x = smooth(), picture(*SIZE)
    activations = parts(network, 2)[0](x)[0]
    base = read(network, torch.zeros_like(x), 1, score)
    change = []
    for channel in activations:
        mask = stretched(up(channel)) if order == "enlarge-first" else up(stretched(channel))
        change.append(read(network, x * mask, 1, score) - base)
    weights = {"softmax": softmax(change), "change": change, "score": [one + base for one in change]}[weight]
    spec = f"score-cam(layer='2', score={score}, weight={weight}, order={order})"
    result = result_of(network, x, spec, target=1)
    assert close(torch.from_numpy(result.map), weighted(weights, activations), 1e-4)
    assert (result.passes.forward, result.passes.backward) == (1 + len(activations) + 1, 1)


@torch.no_grad()
def test_score_cam_of_the_channels_that_vary_most() -> None:
    network, x = smooth(), picture(*SIZE)
    activations = parts(network, 2)[0](x)[0]
    spreads = [float(((channel - channel.mean()) ** 2).mean()) for channel in activations]
    best = sorted(range(len(activations)), key=lambda k: -spreads[k])[:2]
    base = read(network, torch.zeros_like(x), 0, "logit")
    change = [read(network, x * stretched(up(activations[k])), 0, "logit") - base for k in best]
    result = result_of(network, x, "score-cam(layer='2', channels=2)", target=0)
    assert close(torch.from_numpy(result.map), weighted(softmax(change), activations[best]), 1e-4)
    assert result.passes.forward == 1 + 2 + 1


@torch.no_grad()
def test_score_cam_of_a_contrast() -> None:
    network, x = smooth(), picture(*SIZE)
    activations = parts(network, 2)[0](x)[0]
    change = []
    for channel in activations:
        scores = network(x * stretched(up(channel)))[0] - network(torch.zeros_like(x))[0]
        change.append(float(scores[2] - scores[0]))
    found = map_of(network, x, "score-cam(layer='2')", target=(2, 0))
    assert close(found, weighted(softmax(change), activations), 1e-4)


@torch.no_grad()
def test_a_channel_that_is_silent_hides_everything() -> None:
    network, x = pooled(), picture(*SIZE)
    network[0].weight[2], network[0].bias[2] = 0, 0
    activations = parts(network, 1)[0](x)[0]
    assert not activations[2].any()
    base = read(network, torch.zeros_like(x), 3, "logit")
    change = [read(network, x * stretched(up(channel)), 3, "logit") - base for channel in activations]
    assert change[2] == 0
    assert close(map_of(network, x, "score-cam(layer='1')", target=3), weighted(softmax(change), activations), 1e-4)


@pytest.mark.parametrize("score", ["logit", "probability"])
@torch.no_grad()
def test_ss_cam(score: str) -> None:
    network, x = smooth(), picture(*SIZE)
    activations = parts(network, 2)[0](x)[0]
    samples, sigma, seed, count = 3, 0.5, 4, 3 * 6
    base = read(network, torch.zeros_like(x), 1, score)
    change = []
    for k, channel in enumerate(activations):
        total = 0.0
        for sample in range(samples):
            generator = torch.Generator().manual_seed(seed * count + sample * 6 + k)
            noise = sigma * torch.randn(SIZE, generator=generator)
            total += read(network, x * (stretched(up(channel)) + noise), 1, score) - base
        change.append(total / samples)
    spec = f"ss-cam(layer='2', samples={samples}, sigma={sigma}, seed={seed}, score={score})"
    result = result_of(network, x, spec, target=1)
    assert close(torch.from_numpy(result.map), weighted(softmax(change), activations), 1e-4)
    assert result.passes.forward == 1 + count + 1


@pytest.mark.parametrize("factors", ["even", "running-sum"])
@torch.no_grad()
def test_is_cam(factors: str) -> None:
    network, x = smooth(), picture(*SIZE)
    activations = parts(network, 2)[0](x)[0]
    strengths = [0.25, 0.5, 0.75, 1.0] if factors == "even" else [0.25, 0.75, 1.5, 2.5]
    base = read(network, torch.zeros_like(x), 1, "logit")
    change = []
    for channel in activations:
        mask = stretched(up(channel))
        change.append(sum(read(network, x * one * mask, 1, "logit") - base for one in strengths) / 4)
    result = result_of(network, x, f"is-cam(layer='2', steps=4, factors={factors})", target=1)
    assert close(torch.from_numpy(result.map), weighted(softmax(change), activations), 1e-4)
    assert result.passes.forward == 1 + 4 * 6 + 1


@pytest.mark.parametrize("spec", ["is-cam(steps=1)", "ss-cam(samples=3, sigma=0)"])
def test_what_builds_on_score_cam_is_score_cam_where_it_does_nothing(spec: str) -> None:
    network, x = pooled(), picture(*SIZE)
    assert close(map_of(network, x, spec, target=2), map_of(network, x, "score-cam", target=2), 1e-5)


# ---- Group-CAM -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2, 4, 6, 32])
@pytest.mark.parametrize("fill", ["igos-blur", "black"])
def test_group_cam(fill: str, groups: int) -> None:
    network, x = smooth(), picture(*SIZE)
    front, rest = parts(network, 2)
    with torch.no_grad():
        activations = front(x)
    gradients = gradient_of(rest, activations, lambda scores: scores[:, 1])[0]
    other = IgosBlur().make(x, ValueRange.unit()) if fill == "igos-blur" else torch.zeros_like(x)
    size = -(-6 // min(groups, 6))
    with torch.no_grad():
        base = read(network, other, 1, "probability")
        total = torch.zeros(activations.shape[2:])
        for start in range(0, 6, size):
            group = torch.zeros(activations.shape[2:])
            for k in range(start, min(start + size, 6)):
                group += gradients[k].mean() * activations[0, k]
            group = group.clamp(min=0)
            mask = stretched(up(group))
            total += max(0.0, read(network, x * mask + other * (1 - mask), 1, "probability") - base) * group
    result = result_of(network, x, f"group-cam(layer='2', groups={groups}, fill={fill})", target=1)
    assert close(torch.from_numpy(result.map), up(total), 1e-3)
    assert (result.passes.forward, result.passes.backward) == (1 + -(-6 // size) + 1, 1)


def test_group_cam_of_one_group_is_grad_cam_up_to_a_factor() -> None:
    network, x = pooled(), picture(*SIZE)
    for target in range(4):
        one, other = (map_of(network, x, spec, target=target) for spec in ("group-cam(groups=1)", "grad-cam"))
        assert not one.any() or close(one / one.max(), other / other.max(), 1e-4)


# ---- only the rest of the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0, 1, 2])
@torch.no_grad()
def test_ablation_cam(target: int) -> None:
    network, x = smooth(), picture(*SIZE)
    front, rest = parts(network, 2)
    activations = front(x)
    clean = read(network, x, target, "logit")
    weights = []
    for k in range(activations.shape[1]):
        off = activations.clone()
        off[:, k] = 0
        weights.append((clean - read(rest, off, target, "logit")) / abs(clean))
    found = map_of(network, x, "ablation-cam(layer='2')", target=target)
    assert close(found, weighted(weights, activations[0]), 1e-4)


@pytest.mark.parametrize("target", range(4))
@torch.no_grad()
def test_ablation_cam_before_a_linear_head_weighs_by_contributions(target: int) -> None:
    network, x = pooled(), picture(*SIZE)
    activations = parts(network, 1)[0](x)[0]
    score = read(network, x, target, "logit")
    weights = [float(network[-1].weight[target, k] * activations[k].mean()) / abs(score) for k in range(6)]
    assert close(map_of(network, x, "ablation-cam", target=target), weighted(weights, activations), 1e-4)


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("spread", ["cell", "gaussian"])
@torch.no_grad()
def test_recipro_cam(spread: str, score: str) -> None:
    network, x = smooth(), picture(*SIZE)
    front, rest = parts(network, 2)
    activations = front(x)
    height, width = activations.shape[2:]
    expected = torch.zeros(height, width)
    for i, j in itertools.product(range(height), range(width)):
        alone = torch.zeros_like(activations)
        for down, right in itertools.product((-1, 0, 1), (-1, 0, 1)):
            if 0 <= i + down < height and 0 <= j + right < width:
                share = 2.0 ** -(2 + abs(down) + abs(right)) if spread == "gaussian" else float(down == right == 0)
                alone[:, :, i + down, j + right] = share * activations[:, :, i, j]
        expected[i, j] = read(rest, alone, 2, score) - read(rest, torch.zeros_like(activations), 2, score)
    found = map_of(network, x, f"recipro-cam(layer='2', spread={spread}, score={score})", target=2)
    assert close(found, up(expected), 1e-4)


@pytest.mark.parametrize("target", range(4))
@torch.no_grad()
def test_recipro_cam_of_logits_before_pooling_is_cam_over_the_cells(target: int) -> None:
    network, x = pooled(), picture(*SIZE)
    cam = map_of(network, x, "cam", target=target)
    found = map_of(network, x, "recipro-cam(score=logit)", target=target)
    cells = parts(network, 1)[0](x)[0, 0].numel()
    assert close(found, cam / cells, 1e-4)


@pytest.mark.parametrize("prefix", [0, 1, 5])
@torch.no_grad()
def test_only_the_cells_of_a_transformer_are_changed(prefix: int) -> None:
    network: Any = built(lambda: Tokens(prefix))().eval()
    x = picture(8, 12, seed=3)
    layer = network.blocks[0]

    def scores_with(change: object) -> torch.Tensor:
        def hook(_module: nn.Module, _given: object, output: torch.Tensor) -> torch.Tensor:
            changed = output.clone()
            changed[:, prefix:] = change(output[:, prefix:])  # type: ignore[operator]
            return changed

        handle = layer.register_forward_hook(hook)
        scores: torch.Tensor = network(x)[0]
        handle.remove()
        return scores

    cells = torch.zeros(2 * 3)
    for cell in range(6):
        keep = torch.zeros(1, 6, 1)
        keep[0, cell] = 1
        cells[cell] = scores_with(lambda tokens, keep=keep: tokens * keep).softmax(0)[1]
    cells -= scores_with(torch.zeros_like).softmax(0)[1]
    found = map_of(network, x, "recipro-cam(layer='blocks.0')", target=1)
    assert close(found, up(cells.reshape(2, 3), (8, 12)), 1e-4)

    clean = network(x)[0, 1]
    tokens = network.blocks[0](tokens_of(network, x))[0, prefix:]
    weights = []
    for k in range(16):
        keep = torch.ones(1, 1, 16)
        keep[..., k] = 0
        weights.append(float((clean - scores_with(lambda tokens, keep=keep: tokens * keep)[1]) / clean.abs()))
    expected = (tokens * torch.tensor(weights)).sum(1).reshape(2, 3).clamp(min=0)
    assert close(map_of(network, x, "ablation-cam(layer='blocks.0')", target=1), up(expected, (8, 12)), 1e-4)


def tokens_of(network: Any, x: torch.Tensor) -> torch.Tensor:
    """What enters the first block of `Tokens`."""
    tokens: torch.Tensor = network.patch_embed(x).flatten(2).transpose(1, 2)
    return tokens if network.prefix is None else torch.cat([network.prefix, tokens], 1)


# ---- Opti-CAM ------------------------------------------------------------------------------------------------------


def test_opti_cam() -> None:
    network, x = smooth(), picture(*SIZE)
    activations = parts(network, 2)[0](x)[0].detach().double()
    u, m, v = (torch.zeros(6, dtype=torch.float64) for _ in range(3))
    network64 = smooth().double()

    def mask_of(u: torch.Tensor) -> torch.Tensor:
        total = sum(weight * channel for weight, channel in zip(u.softmax(0), activations, strict=True))
        assert isinstance(total, torch.Tensor)
        large = functional.interpolate(total[None, None], SIZE, mode="bilinear", align_corners=False)[0, 0]
        return (large - large.min()) / (large.max() - large.min())

    for step in range(1, 8):
        gradient = torch.zeros(6, dtype=torch.float64)
        for k in range(6):  # central differences
            moved = torch.zeros(6, dtype=torch.float64)
            moved[k] = 1e-5
            ends = [float(network64(x.double() * mask_of(u + sign * moved))[0, 1].detach()) for sign in (1, -1)]
            gradient[k] = (ends[0] - ends[1]) / 2e-5
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        u = u + 0.1 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    result = result_of(network, x, "opti-cam(layer='2', steps=7)", target=1)
    assert close(torch.from_numpy(result.map), mask_of(u).float(), 1e-3)
    assert (result.passes.forward, result.passes.backward) == (1 + 7, 1 + 7)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_opti_cam_raises_the_score_of_the_masked_picture(target: int) -> None:
    network, x = smooth(), picture(*SIZE)
    first, last = (map_of(network, x, f"opti-cam(layer='2', steps={n})", target=target) for n in (1, 60))
    with torch.no_grad():
        assert float(network(x * last)[0, target]) > float(network(x * first)[0, target])
    assert float(last.min()) == 0
    assert float(last.max()) == 1
