"""Perturbation methods that ask about regions or draw masks, against slow, plain re-derivations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from maps import result_of
from sightline.attribution.perturbation.kernel_shap import Plan
from sightline.attribution.perturbation.rise import CellMasks
from sightline.errors import MissingExtraError, UsageError
from sightline.images.segments import REGIONS, Grid
from sightline.images.values import ValueRange
from sightline.runs.explain import explain
from small import close, picture, smooth

GREY = 0.5


def sharp() -> nn.Module:
    """The smooth network with scores far apart, so that their differences have digits enough to compare."""
    network = smooth()
    with torch.no_grad():
        network[-1].weight.mul_(30)
    return network


@torch.no_grad()
def v(network: nn.Module, x: torch.Tensor, regions: torch.Tensor, shown: list[float] | torch.Tensor) -> float:
    """The score of class 1 of a picture over grey, of which so much of each region is shown, pixel by pixel."""
    seen = x.clone()
    for i, j in itertools.product(range(x.shape[2]), range(x.shape[3])):
        share = float(shown[int(regions[i, j])])
        seen[0, :, i, j] = share * x[0, :, i, j] + (1 - share) * GREY
    return float(network(seen)[0, 1])


def blocks(height: int, width: int, rows: int, columns: int) -> torch.Tensor:
    """Regions of a grid by two loops over its boxes."""
    regions = torch.full((height, width), -1)
    for row, column in itertools.product(range(rows), range(columns)):
        down = slice(row * height // rows, (row + 1) * height // rows)
        across = slice(column * width // columns, (column + 1) * width // columns)
        regions[down, across] = row * columns + column
    return regions


def exact_shapley(network: nn.Module, x: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """The definition: over all coalitions of the others."""
    players = int(regions.max()) + 1
    worth = {
        coalition: v(network, x, regions, [float(p in coalition) for p in range(players)])
        for size in range(players + 1)
        for coalition in itertools.combinations(range(players), size)
    }
    values = torch.zeros(players, dtype=torch.float64)
    for player in range(players):
        others = [p for p in range(players) if p != player]
        for size in range(players):
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for coalition in itertools.combinations(others, size):
                values[player] += weight * (worth[tuple(sorted((*coalition, player)))] - worth[coalition])
    return values


# ---- regions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(7, 9, 3, 4), (224, 224, 7, 7), (5, 6, 5, 6), (10, 3, 4, 1)])
def test_grid_is_the_boxes_of_the_grid(size: tuple[int, int, int, int]) -> None:
    height, width, rows, columns = size
    made = Grid(rows=rows, columns=columns).make(torch.zeros(2, 3, height, width), ValueRange.unit())
    assert torch.equal(made, blocks(*size).expand(2, -1, -1))


def test_grid_is_no_finer_than_the_picture() -> None:
    assert Grid().make(torch.zeros(1, 3, 1, 60), ValueRange.unit()).unique().tolist() == list(range(7))


@pytest.mark.parametrize("spec", ["slic(segments=6)", "felzenszwalb(smallest=20)", "quickshift(kernel=2, distance=10)"])
@pytest.mark.parametrize("channels", [1, 3])
def test_superpixels_follow_edges_and_do_not_depend_on_the_batch_or_the_normalisation(spec: str, channels: int) -> None:
    x = 0.05 * torch.rand(2, channels, 24, 30, generator=torch.Generator().manual_seed(0))
    x[0, :, :, 15:] += 0.9
    x[1, :, 12:, :] += 0.9
    regions = REGIONS.make(spec)
    made = regions.make(x, ValueRange.unit())
    assert not set(made[0, :, :13].unique().tolist()) & set(made[0, :, 17:].unique().tolist())
    assert made[0].unique().tolist() == list(range(int(made[0].max()) + 1))
    assert torch.equal(made[1:], regions.make(x[1:], ValueRange.unit()))
    if channels == 3:
        values = ValueRange.of((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
        low, high, _ = values.like(x)
        again = regions.make(low + (high - low) * x, values)
        assert (again == made).float().mean() > 0.98  # but for rounding at the cut


def test_superpixels_without_scikit_image_are_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(MissingExtraError, match=r"regions=slic \(or use regions=grid\).*sightline\[regions\]"):
        explain(smooth(), picture(8, 8), "feature-ablation(regions=slic)", target=0)


def test_your_own_regions_from_a_file(tmp_path: object) -> None:
    x, regions = picture(6, 8), np.repeat([[9, 9, 4, 4, 4, 7, 7, 7]], 6, 0)
    np.save(f"{tmp_path}/mine.npy", regions)
    colours = np.zeros((6, 8, 3), np.uint8)
    colours[..., 0], colours[..., 2] = regions * 20, 255 - regions * 20
    Image.fromarray(colours).save(f"{tmp_path}/mine.png")
    drawn = result_of(smooth(), x, f'feature-ablation(regions=from-file(path="{tmp_path}/mine.npy"))', target=1)
    assert len(np.unique(drawn.map)) == 3
    assert (drawn.map == drawn.map[:1]).all()
    image = result_of(smooth(), x, f'feature-ablation(regions=from-file(path="{tmp_path}/mine.png"))', target=1)
    assert np.array_equal(image.map, drawn.map)
    assert f"{tmp_path}/mine.npy" in str(drawn.method)
    with pytest.raises(UsageError, match="regions of 6×8 for a network's input of 7×8: draw them"):
        explain(smooth(), picture(7, 8), f'feature-ablation(regions=from-file(path="{tmp_path}/mine.npy"))', target=1)
    with pytest.raises(UsageError, match="cannot be read"):
        explain(smooth(), x, "feature-ablation(regions=from-file(path=nowhere.npy))", target=1)
    np.save(f"{tmp_path}/half.npy", regions * 0.5)
    with pytest.raises(UsageError, match="whole numbers"):
        explain(smooth(), x, f'feature-ablation(regions=from-file(path="{tmp_path}/half.npy"))', target=1)


# ---- occlusion with soft edges -------------------------------------------------------------------------------------


@torch.no_grad()
def test_occlusion_with_soft_edges() -> None:
    network, x, edge = sharp(), picture(7, 9), 1.3
    spec = f"occlusion(window=(3, 4), stride=(2, 3), edge={edge}, fill=grey, score=logit)"
    found = result_of(network, x, spec, target=1).map
    total, weight = torch.zeros(7, 9, dtype=torch.float64), torch.zeros(7, 9, dtype=torch.float64)

    def part(place: float, first: int, last: int, side: int) -> float:
        """The share of a Gaussian around a place that lies in the box; all of a side at the border."""
        low = 0.0 if first == 0 else 0.5 * math.erfc((place - first) / (math.sqrt(2) * edge))
        high = 0.0 if last == side else 0.5 * math.erfc((last - place) / (math.sqrt(2) * edge))
        return 1 - low - high

    for top, left in itertools.product(range(0, 5, 2), range(0, 7, 3)):
        bottom, right = min(top + 3, 7), min(left + 4, 9)
        hidden = torch.zeros(7, 9, dtype=torch.float64)
        for i, j in itertools.product(range(7), range(9)):
            hidden[i, j] = part(i + 0.5, top, bottom, 7) * part(j + 0.5, left, right, 9)
        drop = network(x)[0, 1] - network((x + hidden * (GREY - x)).float())[0, 1]
        total, weight = total + hidden * drop, weight + hidden
    assert close(torch.from_numpy(found), (total / weight).float(), 1e-4)


def test_the_softest_and_the_hardest_edge_of_occlusion() -> None:
    network, x = sharp(), picture(8, 9)
    spec = "occlusion(window=4, stride=2, fill=grey, score=logit{})"
    hard, sharp_edge = (result_of(network, x, spec.format(more), target=1).map for more in ("", ", edge=0.01"))
    assert close(torch.from_numpy(hard), torch.from_numpy(sharp_edge), 1e-4)
    soft = result_of(network, x, spec.format(", edge=3"), target=1)
    assert not np.allclose(hard, soft.map, atol=0.01 * np.abs(hard).max())
    assert str(soft.method) == "occlusion(window=4, stride=2, edge=3, score=logit)"


# ---- games of regions ----------------------------------------------------------------------------------------------


def test_feature_ablation() -> None:
    network, x, regions = sharp(), picture(7, 8), blocks(7, 8, 2, 3)
    found = result_of(network, x, "feature-ablation(regions=grid(rows=2, columns=3), fill=grey)", target=1)
    everything = v(network, x, regions, [1] * 6)
    drops = torch.tensor([everything - v(network, x, regions, [float(p != r) for p in range(6)]) for r in range(6)])
    assert close(torch.from_numpy(found.map), drops[regions].float(), 1e-4)
    assert np.array_equal(found.arrays["regions"], regions.numpy())
    assert found.passes.forward == 1 + 6


def test_feature_ablation_of_the_probability_of_a_contrast() -> None:
    network, x, regions = sharp(), picture(6, 6), blocks(6, 6, 2, 2)
    spec = "feature-ablation(regions=grid(rows=2, columns=2), fill=grey, score=probability)"
    found = result_of(network, x, spec, target="0-vs-2").map
    hidden = x.clone()
    hidden[:, :, :3, :3] = GREY
    with torch.no_grad():
        clean, covered = network(x)[0], network(hidden)[0]
    drop = (clean[0] - clean[2]).sigmoid() - (covered[0] - covered[2]).sigmoid()
    assert found[0, 0] == pytest.approx(float(drop), rel=1e-3)
    assert int(regions[0, 0]) == 0


def test_shapley_sampling() -> None:
    network, x, regions = sharp(), picture(6, 7), blocks(6, 7, 2, 3)
    spec = "shapley-sampling(regions=grid(rows=2, columns=3), samples=5, fill=grey, seed=3)"
    found = result_of(network, x, spec, target=1)
    generator, gains = torch.Generator().manual_seed(3), torch.zeros(5, 6, dtype=torch.float64)
    for row in range(5):
        shown = [0.0] * 6
        before = v(network, x, regions, shown)
        for player in torch.randperm(6, generator=generator).tolist():
            shown[player] = 1.0
            after = v(network, x, regions, shown)
            gains[row, player], before = after - before, after
    assert close(torch.from_numpy(found.map), gains.mean(0).float()[regions], 1e-4)
    error = (gains.var(0, unbiased=True) / 5).sqrt().float()[regions]
    assert close(torch.from_numpy(found.arrays["standard_error"]), error, 1e-4)
    expected = float((gains.var(0, unbiased=True) / 5).sqrt().mean() / (gains.mean(0).max() - gains.mean(0).min()))
    assert found.numbers["relative_error"] == pytest.approx(expected, rel=1e-3)
    assert found.passes.forward == 1 + 1 + 5 * 5


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3)])
def test_kernel_shap_by_full_enumeration_is_the_exact_shapley_value(grid: tuple[int, int]) -> None:
    network, x, regions = sharp(), picture(6, 7), blocks(6, 7, *grid)
    spec = f"kernel-shap(regions=grid(rows={grid[0]}, columns={grid[1]}), samples=62, fill=grey)"
    found = result_of(network, x, spec, target=1)
    assert close(torch.from_numpy(found.map).double(), exact_shapley(network, x, regions)[regions], 1e-5)
    assert not found.arrays["standard_error"].any()
    assert found.passes.forward <= 2 ** (grid[0] * grid[1])


def test_kernel_shap_samples_what_it_cannot_enumerate() -> None:
    network, x, regions = sharp(), picture(8, 8), blocks(8, 8, 2, 4)
    exact = exact_shapley(network, x, regions)
    off = []
    for seed in range(6):
        spec = f"kernel-shap(regions=grid(rows=2, columns=4), samples=120, fill=grey, seed={seed})"
        found = result_of(network, x, spec, target=1)
        first = [int((regions == r).flatten().nonzero()[0]) for r in range(8)]
        values = torch.from_numpy(found.map.flatten()[first]).double()
        error = torch.from_numpy(found.arrays["standard_error"].flatten()[first]).double()
        assert float(values.sum()) == pytest.approx(float(exact.sum()), rel=1e-4)
        off.append((values - exact) / error)
    assert 0.4 < float(torch.stack(off).square().mean().sqrt()) < 2.5  # the error told is the error made


def test_kernel_shap_plan_holds_the_whole_kernel() -> None:
    for players, samples in ((5, 30), (9, 60), (12, 200), (49, 2048)):
        plan = Plan.of(players, samples, seed=0)
        every = sum((players - 1) / (size * (players - size)) for size in range(1, players))
        assert float(plan.weights.sum()) + plan.mass == pytest.approx(every)
        assert len(plan.whole) + 2 * len(plan.pairs) <= samples
        assert torch.equal(plan.pairs.sum(1), torch.ones(len(plan.pairs), players))
    with pytest.raises(UsageError, match="too few for 49 regions: give 98"):
        Plan.of(49, 60, seed=0)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_lime_is_the_weighted_ridge(penalty: float) -> None:
    network, x, regions = sharp(), picture(6, 7), blocks(6, 7, 2, 3)
    spec = f"lime(regions=grid(rows=2, columns=3), samples=30, fill=grey, score=given, penalty={penalty}, seed=2)"
    found = result_of(network, x, spec, target=1)
    z = (torch.rand(30, 6, generator=torch.Generator().manual_seed(2)) < 0.5).double()
    z[0] = 1
    y = torch.tensor([v(network, x, regions, row) for row in z], dtype=torch.float64)
    ones = torch.ones(6, dtype=torch.float64)
    rows, targets = [], []
    for row, value in zip(z, y, strict=True):
        length = float(row.norm()) * float(ones.norm())
        distance = 1 - float(row @ ones) / length if length and row.any() else 1.0
        weight = math.sqrt(math.exp(-(distance**2) / 0.25**2))
        rows.append(math.sqrt(weight) * torch.cat([row, torch.ones(1).double()]))
        targets.append(math.sqrt(weight) * value)
    for r in range(6):  # the penalty as further rows of a plain least-squares problem; none for the intercept
        rows.append(math.sqrt(penalty) * torch.eye(7, dtype=torch.float64)[r])
        targets.append(torch.zeros(()).double())
    solved = torch.linalg.lstsq(torch.stack(rows), torch.stack(targets)[:, None]).solution[:6, 0]
    assert close(torch.from_numpy(found.map), solved.float()[regions], 1e-4)


def test_lime_hides_a_region_under_its_own_mean_colour() -> None:
    from sightline.attribution.perturbation.game import own_means

    x, regions = picture(5, 6)[0], blocks(5, 6, 1, 2)
    filled = own_means(x, regions)
    for region in (0, 1):
        inside = regions == region
        assert torch.allclose(filled[:, inside], x[:, inside].mean(1, keepdim=True).expand(-1, int(inside.sum())))


def test_sobol_is_jansens_estimate() -> None:
    network, x, regions = sharp(), picture(6, 6), blocks(6, 6, 2, 2)
    found = result_of(network, x, "sobol(regions=grid(rows=2, columns=2), samples=8, fill=grey, seed=1)", target=1)
    design = torch.quasirandom.SobolEngine(8, scramble=True, seed=1).draw(8).double()
    a, b = design[:, :4], design[:, 4:]
    f = torch.tensor([v(network, x, regions, row) for row in a], dtype=torch.float64)
    indices = []
    for region in range(4):
        total = 0.0
        for n in range(8):
            row = a[n].clone()
            row[region] = b[n, region]
            total += (float(f[n]) - v(network, x, regions, row)) ** 2
        indices.append(total / (2 * 8 * float(((f - f.mean()) ** 2).sum() / 7)))
    assert close(torch.from_numpy(found.map), torch.tensor(indices)[regions], 1e-3)
    assert found.passes.forward == 1 + 8 * 5


@pytest.mark.parametrize("estimator", ["homma", "janon", "glen"])
def test_sobol_by_other_estimators(estimator: str) -> None:
    network, x, regions = sharp(), picture(6, 6), blocks(6, 6, 2, 2)
    fields = "regions=grid(rows=2, columns=2), samples=8, fill=grey, seed=1"
    found = result_of(network, x, f"sobol({fields}, estimator={estimator})", target=1)
    design = torch.quasirandom.SobolEngine(8, scramble=True, seed=1).draw(8).double()
    a, b = design[:, :4], design[:, 4:]
    f = np.array([v(network, x, regions, row) for row in a])
    indices, errors = [], []
    for region in range(4):
        rows = [torch.cat([a[n, :region], b[n, region, None], a[n, region + 1 :]]) for n in range(8)]
        g = np.array([v(network, x, regions, row) for row in rows])
        indices.append(total_index(estimator, f, g))
        left = [total_index(estimator, np.delete(f, n), np.delete(g, n)) for n in range(8)]
        errors.append(math.sqrt(7 / 8 * sum((one - sum(left) / 8) ** 2 for one in left)))
    assert close(torch.from_numpy(found.map), torch.tensor(indices)[regions], 1e-3)
    assert close(torch.from_numpy(found.arrays["standard_error"]), torch.tensor(errors)[regions], 1e-3)


def total_index(estimator: str, f: np.ndarray, g: np.ndarray) -> float:
    """The total index as its papers write it, from v(A) and v(C_i)."""
    if estimator == "homma":
        return float(1 - (np.mean(f * g) - f.mean() ** 2) / f.var(ddof=1))
    if estimator == "glen":
        return float(1 - np.corrcoef(f, g)[0, 1])
    middle = (f.mean() + g.mean()) / 2
    return float(1 - (np.mean(f * g) - middle**2) / (np.mean((f**2 + g**2) / 2) - middle**2))


@pytest.mark.parametrize("width", ["distances", "scores"])
def test_hsic_is_the_trace(width: str) -> None:
    network, x, regions = sharp(), picture(6, 6), blocks(6, 6, 2, 2)
    spec = f"hsic(regions=grid(rows=2, columns=2), samples=16, fill=grey, seed=1, width={width})"
    found = result_of(network, x, spec, target=1)
    z = torch.quasirandom.SobolEngine(4, scramble=True, seed=1).draw(16).double().round()
    y = torch.tensor([v(network, x, regions, row) for row in z], dtype=torch.float64)
    apart = sorted(abs(float(y[i] - y[j])) for i in range(16) for j in range(i))
    size = apart[(len(apart) - 1) // 2] if width == "distances" else abs(sorted(y.tolist())[7])
    kernel = torch.exp(-((y[:, None] - y[None]) ** 2) / (2 * size**2))
    centre = torch.eye(16, dtype=torch.float64) - 1 / 16
    values = []
    for region in range(4):
        own = 1 - (z[:, region, None] - z[None, :, region]) ** 2
        values.append(float(torch.trace(own @ centre @ kernel @ centre)) / 16**2)
    assert close(torch.from_numpy(found.map), torch.tensor(values)[regions], 1e-3)


# ---- RISE ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("normalise", ["expected", "covered", "centred"])
def test_rise(normalise: str) -> None:
    network, x = sharp(), picture(9, 11)
    spec = f"rise(samples=12, cells=3, shown=0.4, normalise={normalise}, fill=grey, seed=4)"
    found = result_of(network, x, spec, target=1)
    masks = CellMasks.draw(12, 3, 0.4, x.shape[-2:], 4).make(slice(0, 12))[:, 0, 0].double()
    p = torch.stack([network((GREY + m * (x - GREY)).float()).softmax(1)[0, 1] for m in masks]).double()
    total = torch.zeros(9, 11, dtype=torch.float64)
    for one, mask in zip(p, masks, strict=True):
        total += (one - (p.mean() if normalise == "centred" else 0)) * mask
    expected = total / masks.sum(0) if normalise == "covered" else total / (12 * 0.4)
    expected = expected + (p.mean() if normalise == "centred" else 0)
    assert close(torch.from_numpy(found.map), expected.float(), 1e-4)
    if normalise == "expected":
        error = ((p[:, None, None] * masks / 0.4).var(0, unbiased=True) / 12).sqrt()
        assert close(torch.from_numpy(found.arrays["standard_error"]), error.float(), 1e-3)
    assert found.passes.forward == 12 + 1


@pytest.mark.parametrize(("size", "cells"), [((224, 224), 7), ((97, 61), 8), ((30, 40), 1), ((10, 10), 2)])
def test_masks_are_those_of_the_authors_generator(size: tuple[int, int], cells: int) -> None:
    resize = pytest.importorskip("skimage.transform").resize
    masks = CellMasks.draw(4, cells, 0.5, torch.Size(size), seed=0)
    made = masks.make(slice(0, 4))[:, 0, 0].numpy()
    tall, wide = (math.ceil(side / cells) for side in size)
    for mask, grid, (top, left) in zip(made, masks.cells.numpy(), masks.places.tolist(), strict=True):
        up = resize(
            grid, ((cells + 1) * tall, (cells + 1) * wide), order=1, mode="reflect" if cells > 1 else "edge",
            anti_aliasing=False,
        )  # fmt: skip
        assert 0 <= top < tall
        assert 0 <= left < wide
        assert np.allclose(mask, up[top : top + size[0], left : left + size[1]], atol=1e-5)
    if cells > 1:  # the check can tell the edge's rule: cells repeated at the edge, as torch enlarges, are not it
        clamped = resize(masks.cells[0].numpy(), up.shape, order=1, mode="edge", anti_aliasing=False)
        mirrored = resize(masks.cells[0].numpy(), up.shape, order=1, mode="reflect", anti_aliasing=False)
        assert not np.allclose(clamped, mirrored, atol=0.1)


def test_masks_are_the_same_however_they_are_asked_for() -> None:
    masks = CellMasks.draw(9, 3, 0.5, torch.Size((8, 10)), seed=0)
    every = masks.make(slice(0, 9))
    assert torch.equal(every[4:7], masks.make(slice(4, 7)))
    assert torch.equal(every[4:7], masks.some(slice(4, 9)).make(slice(0, 3)))


def test_rise_where_no_mask_moves_the_score_is_that_score() -> None:
    network = smooth()
    with torch.no_grad():
        network[-1].weight.zero_()
    found = result_of(network, picture(8, 8), "rise(samples=10)", target=0)
    assert np.ptp(found.map) == 0
    assert found.map[0, 0] == pytest.approx(found.target.probability, rel=1e-5)
    assert found.numbers["relative_error"] == 0


# ---- partition SHAP ------------------------------------------------------------------------------------------------


def owen_of(
    network: nn.Module, x: torch.Tensor, box: tuple[int, ...], shown: torch.Tensor, found: torch.Tensor
) -> None:
    """The whole recursion, down to pixels: what the box adds in the company of what is shown, halved into its parts."""
    top, left, bottom, right = box
    pixels = torch.arange(x.shape[2] * x.shape[3]).reshape(x.shape[2:])
    with_it = shown.clone()
    with_it[top:bottom, left:right] = 1
    if bottom - top == right - left == 1:
        scores = [v(network, x, pixels, mask.flatten()) for mask in (with_it, shown)]
        found[top, left] += scores[0] - scores[1]
        return
    middle = (top + bottom) // 2 if bottom - top >= right - left else (left + right) // 2
    one = (top, left, middle, right) if bottom - top >= right - left else (top, left, bottom, middle)
    other = (middle, left, bottom, right) if bottom - top >= right - left else (top, middle, bottom, right)
    for part, sibling in ((one, other), (other, one)):
        beside = shown.clone()
        beside[sibling[0] : sibling[2], sibling[1] : sibling[3]] = 1
        for company in (shown, beside):
            inner = torch.zeros_like(found)
            owen_of(network, x, part, company, inner)
            found += inner / 2


def test_partition_shap_to_the_last_pixel_is_the_owen_value() -> None:
    network, x = sharp(), picture(3, 2)
    expected = torch.zeros(3, 2)
    owen_of(network, x, (0, 0, 3, 2), torch.zeros(3, 2), expected)
    found = result_of(network, x, "partition-shap(evaluations=1000, fill=grey)", target=1)
    assert close(torch.from_numpy(found.map), expected, 1e-4)
    assert found.passes.forward < 1000


def test_partition_shap_sums_to_the_difference_at_any_budget_and_keeps_to_it() -> None:
    network, x = sharp(), picture(9, 7)
    with torch.no_grad():
        difference = float(network(x)[0, 1] - network(torch.full_like(x, GREY))[0, 1])
    for budget in (3, 4, 10, 57, 300):
        found = result_of(network, x, f"partition-shap(evaluations={budget}, fill=grey)", target=1)
        assert float(found.map.sum()) == pytest.approx(difference, rel=1e-4)
        assert found.passes.forward <= 1 + budget
    coarse = result_of(network, x, "partition-shap(evaluations=3, fill=grey)", target=1).map
    assert [len(np.unique(part)) for part in (coarse, coarse[:4], coarse[4:])] == [2, 1, 1]


def test_partition_shap_of_a_linear_network_is_its_weights() -> None:
    from small import flat

    network, x = flat(4, 5), picture(4, 5)
    own = ((x[0] - GREY) * network[1].weight[1].detach().reshape(3, 4, 5)).sum(0)
    # A linear game is worth the same in any company; to reach every pixel in every company takes a large budget.
    found = result_of(network, x, "partition-shap(evaluations=20000, fill=grey)", target=1)
    assert close(torch.from_numpy(found.map), own, 1e-3)
