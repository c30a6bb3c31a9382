"""Mask optimisers against plain step-by-step re-derivations, and their operators against closed forms."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from sightline.attribution.mask.extremal_perturbation import area_error
from sightline.attribution.mask.lowering import Lowering
from sightline.attribution.mask.operators import bilateral_variation, copied, emptiness, enlarged, total_variation
from sightline.attribution.mask.pyramid import Seen, faded
from sightline.attribution.mask.smooth_mask import SmoothMask
from sightline.attribution.mask.steps import Adam, Descent, LineSearch, Momentum
from sightline.attribution.table import METHODS
from sightline.images.fills import Blur, IgosBlur
from sightline.images.values import ValueRange
from sightline.models.targets import Target
from sightline.passes.aims import Aim
from sightline.passes.blends import Blends, Moved, Term
from sightline.passes.passes import Passes
from sightline.runs.explain import explain
from small import close, picture, smooth

HEIGHT, WIDTH, SIZE = 9, 12, 5


def strong() -> nn.Module:
    """A network sure enough of itself for a mask to matter."""
    network = smooth()
    with torch.no_grad():
        network[-1].weight.mul_(10)  # type: ignore[union-attr, operator]
    return network


@functools.cache
def weights() -> torch.Tensor:
    """U as a matrix, by the formula of bilinear interpolation, corner on corner, pixel by pixel."""
    found = torch.zeros(HEIGHT, WIDTH, SIZE, SIZE)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            y, x = row * (SIZE - 1) / (HEIGHT - 1), column * (SIZE - 1) / (WIDTH - 1)
            i, j = min(int(y), SIZE - 2), min(int(x), SIZE - 2)
            v, u = y - i, x - j
            found[row, column, i : i + 2, j : j + 2] = torch.tensor([[1 - v], [v]]) * torch.tensor([1 - u, u])
    return found.flatten(2)


def large(mask: torch.Tensor) -> torch.Tensor:
    """U(M)."""
    return weights() @ mask.flatten()


def probability(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return network(x[None]).softmax(1)[0, 1]


def tv(m: torch.Tensor) -> torch.Tensor:
    return ((m[1:] - m[:-1]) ** 2).mean() + ((m[:, 1:] - m[:, :-1]) ** 2).mean()


def btv(m: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    up, grey = large(m), x.mean(0)
    down = (torch.exp(-((grey[1:] - grey[:-1]) ** 2) / 0.01) * (up[1:] - up[:-1]) ** 2).mean()
    right = (torch.exp(-((grey[:, 1:] - grey[:, :-1]) ** 2) / 0.01) * (up[:, 1:] - up[:, :-1]) ** 2).mean()
    return (tv(m) + down + right) / 2


def slow_igos(name: str, x: torch.Tensor, options: dict[str, Any]) -> tuple[torch.Tensor, list[float]]:
    """The mask and the curve of one picture, term by term and point by point, without noise."""
    network, other = strong(), IgosBlur(width=5).make(x[None], ValueRange.unit())[0]
    points, two = options["points"], name == "igos-plus-plus"
    price = options["sparsity"]

    def g(m: torch.Tensor) -> torch.Tensor:
        rough = tv(m) if name == "i-gos" else btv(m, x)
        return price * (1 - m).abs().mean() + options["smoothness"] * rough

    def deletes(m: torch.Tensor, s: float) -> torch.Tensor:
        return probability(network, s * m * x + (1 - s * m) * other)

    def inserts(m: torch.Tensor, s: float) -> torch.Tensor:
        return -probability(network, s * m * other + (1 - s * m) * x)

    def network_part(masks: list[torch.Tensor], s: float) -> torch.Tensor:
        ups = [large(m) for m in masks]
        if name == "i-gos":
            return deletes(ups[0], s)
        if name == "igos-plus":
            return deletes(ups[0], s) + inserts(ups[0], s)
        both = ups[0] * ups[1]
        return (deletes(ups[0], s) + inserts(ups[1], s) + deletes(both, s) + inserts(both, s)) / 2

    def whole(masks: list[torch.Tensor]) -> torch.Tensor:
        return masks[0] * masks[1] if two else masks[0]

    def path(masks: list[torch.Tensor]) -> torch.Tensor:
        return sum(network_part(masks, (s + 1) / points) for s in range(points)) / points + g(whole(masks))  # type: ignore[return-value]

    @torch.no_grad()
    def judged(masks: list[torch.Tensor]) -> float:
        return float(path(masks) if options["judge"] == "path" else network_part(masks, 1.0) + g(whole(masks)))

    masks, last, curve, scores = [torch.ones(SIZE, SIZE) for _ in range(1 + two)], None, [], []
    for i in range(options["iterations"]):
        leaves = [m.clone().requires_grad_() for m in masks]
        loss = path(leaves)
        d = torch.autograd.grad(loss, leaves)
        scores.append(deletes(large(whole(masks)), 1.0).item())
        if options["optimiser"] == "momentum":
            now = [m - options["rate"] * SIZE * SIZE / 784 * dm for m, dm in zip(masks, d, strict=True)]
            before = last or now
            masks = [(c + i / (i + 3) * (c - b)).clamp(0, 1) for c, b in zip(now, before, strict=True)]
            last = now
            curve.append(loss.item())
        else:
            norm, alpha = sum(float((dm**2).sum()) for dm in d), options["step"]
            base = judged(masks)
            while True:
                tried = [(m - alpha * dm).clamp(0, 1) for m, dm in zip(masks, d, strict=True)]
                if judged(tried) <= base - max(1e-4 * alpha * norm, 1e-6):
                    break
                alpha *= 0.2
                if alpha < 1e-5:
                    tried = masks
                    break
            masks = tried
            curve.append(base)
        # As the authors' code has it: their list of scores begins with the first one twice.
        listed = [scores[0], *scores]
        if options["lowering"] and options["iterations"] > 3:
            if i == int(options["iterations"] / 2) and abs(listed[0] - listed[i]) <= 0.001:
                price /= 10
            elif i == int(options["iterations"] / 1.25) and abs(listed[0] - listed[i]) <= 0.01:
                price /= 5
    return whole(masks), curve


WAYS: list[dict[str, Any]] = [
    {"optimiser": "line-search", "judge": "mask"},
    {"optimiser": "line-search", "judge": "path"},
    {"optimiser": "momentum", "judge": "path"},
    {"optimiser": "momentum", "judge": "path", "iterations": 6, "sparsity": 0.5, "rate": 4.0, "lowering": True},
]


@pytest.mark.parametrize("name", ["i-gos", "igos-plus", "igos-plus-plus"])
@pytest.mark.parametrize("way", WAYS, ids=["line-search-mask", "line-search-path", "momentum", "momentum-lowering"])
def test_integrated_gradient_optimised_saliency(name: str, way: dict[str, Any]) -> None:
    options: dict[str, Any] = {
        "iterations": 3, "points": 3, "sparsity": 0.01, "smoothness": 0.2, "step": 100.0, "rate": 94.08,
        "lowering": False,
    } | way  # fmt: skip
    x = torch.cat([picture(HEIGHT, WIDTH), picture(HEIGHT, WIDTH).flip(-1)])
    words = ", ".join(f"{word}={str(value).lower()}" for word, value in options.items())
    found = explain(strong(), list(x), f"{name}(size={SIZE}, noise=0, fill=igos-blur(width=5), {words})", target=1)
    assert isinstance(found, list)
    moved, lowered = False, not options["lowering"]
    for result, pixels in zip(found, x, strict=True):
        mask, curve = slow_igos(name, pixels, options)
        assert close(torch.from_numpy(result.arrays["mask"]), mask, 1e-3)
        assert close(torch.from_numpy(result.map), 1 - large(mask), 1e-3)
        assert result.arrays["curve"].tolist() == pytest.approx(curve, abs=1e-4)
        moved |= bool((mask < 0.998).any())
        if options["lowering"]:
            still = slow_igos(name, pixels, options | {"lowering": False})[0]
            lowered |= not close(mask, still, 1e-4)
    assert moved  # else the oracle had nothing to compare
    assert lowered  # else it would agree with what never lowers anything


def test_the_price_is_lowered_where_the_score_stays_and_nowhere_else() -> None:
    lowering = Lowering(10, torch.tensor([1.0, 1.0, 1.0]))
    prices = []
    for step in range(10):
        lowering(torch.tensor([0.9, 0.9 - 0.001 * step, 0.9 - 0.1 * step]))
        prices.append(lowering.price.tolist())
    assert prices[4] == [1, 1, 1]
    assert prices[5] == prices[7] == pytest.approx([0.1, 1, 1])
    assert prices[8] == prices[9] == pytest.approx([0.02, 0.2, 1])
    short = Lowering(3, torch.tensor([1.0]))
    for _ in range(3):
        short(torch.tensor([0.5]))
    assert short.price.item() == 1


def test_hiding_costs_no_slope_where_nothing_is_hidden() -> None:
    mask = torch.tensor([1.0, 1.0, 0.5, 0.0]).view(1, 1, 2, 2).requires_grad_()
    (slope,) = torch.autograd.grad(emptiness(mask).sum(), mask)
    assert slope.flatten().tolist() == [0, 0, -0.25, -0.25]


def test_momentum_moves_masks_of_any_number_of_cells_alike() -> None:
    """Four times the cells, a quarter of the slope of each: the same mask but for its corners."""
    x = picture(32, 32)[0]
    said = "noise=0, points=4, iterations=4, smoothness=0, sparsity=0.001, fill=igos-blur(width=9)"
    found = [explain(strong(), x, f"i-gos(size={size}, rate=20, {said})", target=1) for size in (8, 16)]
    small, big = (result.map.mean() for result in found)  # type: ignore[union-attr]
    assert small > 0.01
    assert big == pytest.approx(small, rel=0.35)  # the same rate for both would make it a quarter


# ---- the operators -------------------------------------------------------------------------------------------------


def test_total_variation_has_its_closed_forms() -> None:
    ramp = (torch.arange(5.0) / 10)[None, None, :, None].expand(2, 1, 5, 4)
    assert total_variation(ramp).tolist() == pytest.approx([0.01, 0.01])
    assert total_variation(ramp.transpose(2, 3), 3).tolist() == pytest.approx([0.001, 0.001])
    board = (torch.arange(4)[:, None] + torch.arange(4)).remainder(2).float()[None, None]
    assert total_variation(board).item() == pytest.approx(2)
    assert not total_variation(torch.full((2, 1, 6, 3), 0.4)).any()
    assert total_variation(torch.rand(1, 1, 1, 1)).tolist() == [0]
    assert emptiness(torch.full((2, 1, 3, 3), 0.25)).tolist() == [0.75, 0.75]


def test_bilateral_variation_forgives_edges_of_the_picture_and_no_others() -> None:
    mask = torch.zeros(1, 1, 4, 8)
    mask[..., 4:] = 1
    flat, edge = torch.zeros(1, 3, 4, 8), torch.zeros(1, 3, 4, 8)
    edge[..., 4:] = 1
    plain = float(total_variation(mask))
    assert plain == pytest.approx(1 / 7)
    assert bilateral_variation(mask, flat).item() == pytest.approx(plain)
    assert bilateral_variation(mask, edge).item() == pytest.approx(plain / 2)
    assert bilateral_variation(mask, edge.roll(2, -1)).item() == pytest.approx(plain)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_area_error_is_nothing_only_for_a_mask_of_that_area(cells: int, ones: int, seed: int) -> None:
    ones = min(ones, cells)
    mask = torch.zeros(cells)
    mask[torch.randperm(cells, generator=torch.Generator().manual_seed(seed))[:ones]] = 1
    area = torch.tensor([(ones - 0.2) / cells])  # away from the rounding: r_a has ⌈a·n⌉ ones
    assert area_error(mask[None, None], area).item() == 0
    soft = mask.clone()
    soft[0] = 0.5
    assert area_error(soft[None, None], area).item() == pytest.approx(0.25 / cells)
    if ones < cells:
        more = area + 1 / cells
        assert area_error(mask[None, None], more).item() == pytest.approx(1 / cells)


def slow_smooth_mask(p: torch.Tensor, shape: SmoothMask) -> torch.Tensor:
    """Every pixel by itself, from every parameter; those outside of the grid are zero."""
    margin, reach = round(shape.sigma), 1 + math.ceil(shape.sigma / shape.step)
    found = torch.zeros(shape.height + 2 * margin, shape.width + 2 * margin)
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            y, x = row - margin, column - margin
            i, j = math.floor(y / shape.step), math.floor(x / shape.step)
            weighted = []
            for a in range(i - reach, i + reach + 1):
                for b in range(j - reach, j + reach + 1):
                    inside = 0 <= a < p.shape[0] and 0 <= b < p.shape[1]
                    z = math.hypot(y - shape.step * a, x - shape.step * b) / shape.sigma
                    weighted.append(math.exp(-2 * max(0, z - 0.5) ** 2) * (float(p[a, b]) if inside else 0.0))
            w = torch.tensor(weighted)
            found[row, column] = (w * (20 * w).softmax(0)).sum()
    return found


@pytest.mark.parametrize(("size", "step", "sigma"), [((4, 7), 3, 4.0), ((5, 3), 2, 3.0), ((1, 6), 3, 3.0)])
def test_smooth_mask(size: tuple[int, int], step: int, sigma: float) -> None:
    shape = SmoothMask(*size, step, sigma)
    p = torch.rand(2, *shape.grid, generator=torch.Generator().manual_seed(0)).requires_grad_()
    masks = shape.make(p)
    expected = torch.stack([slow_smooth_mask(one, shape) for one in p.detach()])
    assert close(masks.detach(), expected, 1e-5)
    assert shape.inside(masks).shape == (2, *size)
    margin = round(sigma)
    assert torch.equal(shape.inside(masks), masks[:, margin : margin + size[0], margin : margin + size[1]])
    (gradient,) = torch.autograd.grad(shape.inside(masks).sum(), p)
    assert (gradient > 0).any()


def test_pyramid_reads_between_its_levels() -> None:
    x = picture(4, 5)
    pyramid = faded(x, ValueRange.unit(), 8)
    mean = pyramid[0]
    mask = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(1))
    kept, taken = Seen(mask, pyramid, ((0, True), (0, False))).make(x, slice(0, 2))
    assert close(kept, (mean + mask * (x - mean))[0])
    assert close(taken, (x - mask * (x - mean))[0])
    mirrored = Seen(mask, pyramid, ((0, True),), mirrored=True).make(x, slice(0, 1))
    assert torch.equal(mirrored, kept.flip(-1)[None])


def test_blends_run_term_by_term_and_noise_is_shared_by_pictures_and_terms() -> None:
    x, other = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    masks = torch.rand(2, 2, 4, 4)
    terms = (Term(0, True), Term(1, False))
    plain = Blends(masks=masks, other=other, terms=terms, points=(0.5, 1.0))
    whole = plain.make(x, slice(0, 4)).unflatten(0, (4, 2))
    half = 0.5 * masks[:, 0, None]
    assert close(whole[0], half * x + (1 - half) * other)
    assert close(whole[3], masks[:, 1, None] * other + (1 - masks[:, 1, None]) * x)
    assert torch.equal(plain.make(x, slice(1, 3)).unflatten(0, (2, 2)), whole[1:3])
    noisy = Blends(masks=masks, other=other, terms=terms, points=(0.5, 1.0), noise=torch.tensor([0.1, 0.2]), seed=3)
    noise = noisy.make(x, slice(0, 4)).unflatten(0, (4, 2)) - whole
    assert close(2 * noise[:, 0], noise[:, 1], 1e-4)
    assert close(noise[:2], noise[2:], 1e-4)
    assert not close(noise[0], noise[1], 0.1)


def test_the_authors_blur_is_a_wide_gaussian_in_a_narrow_kernel() -> None:
    x = picture(6, 9)
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 8) ** 2)
    kernel /= kernel.sum()
    wide = np.pad(x[0].numpy(), ((0, 0), (4, 4), (4, 4)), mode="reflect")
    rows = sum(kernel[k] * wide[:, k : k + 6, :] for k in range(9))
    expected = torch.from_numpy(sum(kernel[k] * rows[:, :, k : k + 9] for k in range(9))).float()
    assert close(IgosBlur(width=9).make(x, ValueRange.unit())[0], expected, 1e-5)


def test_moved_pictures_copy_their_edges() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)
    ones = Blends(masks=torch.ones(1, 1, 3, 4), other=torch.zeros_like(x))
    assert torch.equal(Moved(ones, 2, (1, 1)).make(x, slice(0, 1)), x)
    moved = Moved(ones, 2, (0, 2)).make(x, slice(0, 1))[0, 0]
    assert moved.tolist() == [[1, 2, 3, 3], [1, 2, 3, 3], [5, 6, 7, 7]]


# ---- the steps -----------------------------------------------------------------------------------------------------


def test_adam_and_descent_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    start, slopes = torch.rand(1, 1, 3, 3, generator=generator), torch.randn(6, 1, 1, 3, 3, generator=generator)
    for own, make in (
        (Adam(0.01), lambda p: torch.optim.Adam([p], lr=0.01)),
        (Descent(0.01), lambda p: torch.optim.SGD([p], lr=0.01, momentum=0.9, dampening=0.9)),
    ):
        parameter, mask = nn.Parameter(start.clone()), start
        other = make(parameter)
        for slope in slopes:
            mask, parameter.grad = own(mask, slope), slope.clone()
            other.step()
            parameter.data.clamp_(0, 1)
        assert close(mask, parameter.detach(), 1e-6)


def test_every_picture_has_a_line_search_of_its_own() -> None:
    """A parabola each: the one is reached by the first step, the other only by a small one."""
    steepness = torch.tensor([1.0, 400.0])

    def loss(masks: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        return steepness[which] * (masks.flatten(1) ** 2).sum(1)

    masks = torch.full((2, 1, 1, 2), 0.5)
    direction = (2 * steepness)[:, None, None, None] * masks
    every = torch.ones(2, dtype=torch.bool)
    after = LineSearch(0.5)(masks, direction, loss(masks, every), loss)
    assert after[0].abs().max() == 0
    alone = LineSearch(0.5)(
        masks[1:], direction[1:], loss(masks, every)[1:], lambda m, w: 400 * (m.flatten(1) ** 2).sum(1)
    )
    assert torch.equal(after[1:], alone)
    assert (loss(after, every) < loss(masks, every)).all()


def test_momentum_is_nesterovs() -> None:
    momentum, d = Momentum(0.1), torch.full((1, 1, 1, 1), 1.0)
    masks = [torch.full((1, 1, 1, 1), 0.9)]
    for _ in range(3):
        masks.append(momentum(masks[-1], d))
    assert masks[1].item() == pytest.approx(0.8)
    assert masks[2].item() == pytest.approx(0.7 + 1 / 4 * (0.7 - 0.8))
    third = masks[2].item() - 0.1
    assert masks[3].item() == pytest.approx(third + 2 / 5 * (third - 0.7))


def test_the_aim_and_its_gradient_at_a_leaf() -> None:
    network, x = strong(), torch.cat([picture(6, 6), picture(6, 6).flip(-1)])
    target, weights = Target.of([1, 2]), torch.tensor([1.0, -0.5])
    leaf, other = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(2)), torch.zeros_like(x)

    def describe(masks: torch.Tensor) -> Blends:
        return Blends(masks=masks, other=other, terms=(Term(0, True), Term(0, False)))

    begin = leaf.clone().requires_grad_()
    kept, taken = network(begin * x), network((1 - begin) * x)
    picked = torch.tensor([1, 2])[:, None]
    value = (kept.softmax(1) - 0.5 * taken.softmax(1)).gather(1, picked)[:, 0]
    (expected,) = torch.autograd.grad(value.sum(), begin)
    for memory in (None, 1):
        with Passes(network, memory=memory) as passes:
            aim = Aim(target, weights, passes.probability)
            found, gradient = passes.at(x, leaf, describe, aim)
            assert (passes.count.forward, passes.count.backward) == (4, 4)
        assert close(found, value.detach(), 1e-5)
        assert close(gradient, expected, 1e-4)


# ---- meaningful and extremal perturbation --------------------------------------------------------------------------


def test_meaningful_perturbation() -> None:
    x, size = picture(HEIGHT, WIDTH), SIZE
    network, other = strong(), Blur(sigma=2).make(x, ValueRange.unit())
    result = explain(network, x[0], f"meaningful-perturbation(iterations=4, size={size}, jitter=0, soft=1, "
                     "fill=blur(sigma=2), sparsity=0.001, smoothness=0.01)", target=1)  # fmt: skip
    with torch.no_grad():
        sides = torch.linspace(-1, 1, size)
        apart = (sides[:, None] ** 2 + sides**2).sqrt()
        clean, blurred = probability(network, x[0]), probability(network, other[0])
        start = torch.ones(size, size)
        for radius in range(11, 0, -1):
            disc = (apart > radius * math.sqrt(2) / 11).float()
            m = copied(disc[None, None], x, 1)[0, 0]
            fall = clean - probability(network, m * x[0] + (1 - m) * other[0])
            if clean > blurred and fall >= 0.99 * (clean - blurred):
                start = disc
    parameter, curve = nn.Parameter(start.clone()), []
    adam = torch.optim.Adam([parameter], lr=0.1)
    for _ in range(4):
        m = copied(parameter[None, None], x, 1)[0, 0]
        rough = sum((parameter.diff(dim=axis).abs() ** 3).sum() for axis in (0, 1))
        loss = probability(network, m * x[0] + (1 - m) * other[0]) + 0.001 * (1 - parameter).abs().sum() + 0.01 * rough
        adam.zero_grad()
        loss.backward()
        adam.step()
        parameter.data.clamp_(0, 1)
        curve.append(loss.item())
    assert not isinstance(result, list)
    assert close(torch.from_numpy(result.arrays["mask"]), parameter.detach(), 1e-3)
    assert result.arrays["curve"].tolist() == pytest.approx(curve, abs=1e-4)
    assert (result.passes.forward, result.passes.backward) == (1 + 13 + 4, 4)
    assert float(result.arrays["mask"].min()) < 0.9


@pytest.mark.parametrize("variant", ["preserve", "delete", "dual"])
@pytest.mark.parametrize("reward", ["simple", "contrastive"])
def test_extremal_perturbation(variant: str, reward: str) -> None:
    network, x, areas = strong(), picture(HEIGHT, WIDTH), (0.1, 0.3)
    shape = SmoothMask(HEIGHT, WIDTH, 3, 3.0)
    result = explain(network, x[0], f"extremal-perturbation(areas=(0.1, 0.3), variant={variant}, reward={reward}, "
                     "perturbation=fade, iterations=4, rate=0.2, constraint=5, step=3, sigma=3)", target=1)  # fmt: skip
    mean, maps, energies = torch.full_like(x, 0.5), [], torch.zeros(4)
    for area in areas:
        parameter = nn.Parameter(torch.ones(1, *shape.grid))
        optimiser = torch.optim.SGD([parameter], lr=0.2, momentum=0.9, dampening=0.9)
        for t in range(4):
            whole = shape.make(parameter)
            m = shape.inside(whole)
            rewards = []
            for keeps in {"preserve": [True], "delete": [False], "dual": [True, False]}[variant]:
                shown = m if keeps else 1 - m
                seen = mean + shown * (x - mean)
                scores = network(seen.flip(-1) if t % 2 == 0 else seen)[0]
                own = scores[1] if reward == "simple" else scores[1] - torch.maximum(scores[0], scores[2])
                rewards.append(own if keeps else -own)
            ranked = whole.flatten().sort().values
            wanted = torch.ones_like(ranked)
            wanted[: int(len(wanted) * (1 - area))] = 0
            energy = -sum(rewards) + 5 * 1.0035**t * ((ranked - wanted) ** 2).mean()
            optimiser.zero_grad()
            energy.backward()
            optimiser.step()
            parameter.data.clamp_(0, 1)
            energies[t] += energy.detach()
        maps.append(m.detach()[0])
    assert not isinstance(result, list)
    assert close(torch.from_numpy(result.arrays["mask"]), torch.stack(maps), 1e-3)
    assert close(torch.from_numpy(result.map), sum(maps) / 2, 1e-3)
    assert close(torch.from_numpy(result.arrays["curve"]), energies, 1e-3)
    assert functional.mse_loss(maps[0], maps[1]) > 0


def test_only_a_score_that_moves_gives_an_extremal_map() -> None:
    network = smooth()
    with torch.no_grad():
        network[-1].weight.zero_()  # type: ignore[union-attr, operator]
    result = explain(
        network, picture(8, 8)[0], "extremal-perturbation(iterations=3, step=3, sigma=3, rate=0.0001)", target=0
    )
    assert not isinstance(result, list)
    assert not result.map.any()
    assert result.arrays["mask"].any()


def test_names_of_the_family_are_told_apart() -> None:
    from sightline.errors import SpecError

    assert METHODS.make("I-GOS").name == METHODS.make("igos").name == "i-gos"
    assert METHODS.make("igos-plus-plus(points=3)").name == "igos-plus-plus"
    for wrong in ("igos++", "iGOS+"):
        with pytest.raises(SpecError):
            METHODS.make(wrong)
    assert enlarged(torch.ones(1, 1, 2, 2), torch.zeros(1, 3, 5, 7)).shape == (1, 1, 5, 7)


def test_areas_are_a_list_of_any_length_in_text_and_back() -> None:
    from sightline.errors import SpecError

    for text in ("extremal-perturbation(areas=(0.05, 0.1, 0.2))", "extremal-perturbation(areas=(0.3))"):
        assert str(METHODS.make(text)) == text
    assert str(METHODS.make("extremal-perturbation(areas=(0.1))")) == "extremal-perturbation"
    assert str(METHODS.make("extremal-perturbation(areas=0.3)")) == "extremal-perturbation(areas=(0.3))"
    for wrong in ("(0.1, 2)", "(0.1, blur)", "blur"):
        with pytest.raises(SpecError, match="areas"):
            METHODS.make(f"extremal-perturbation(areas={wrong})")
