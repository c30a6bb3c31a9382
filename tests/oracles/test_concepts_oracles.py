"""Deep feature factorisation and CRAFT against slow, plain re-derivations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.concepts.bank import Bank, Weighed, Without, spread
from sightline.attribution.concepts.craft import Craft
from sightline.attribution.concepts.deep_feature_factorisation import DeepFeatureFactorisation
from sightline.attribution.concepts.factors import factorise, strengths_at
from sightline.attribution.sensitivity import halves
from sightline.passes.passes import Passes
from small import close, picture, pooled, seeded

optimize = pytest.importorskip("scipy.optimize")
qmc = pytest.importorskip("scipy.stats.qmc")


def values(cells: int, channels: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(cells, channels, generator=torch.Generator().manual_seed(seed)).double()


def start(cells: int, concepts: int, channels: int, mean: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    scale = (mean / concepts) ** 0.5
    rows, columns = (
        torch.randn(shape, generator=generator, dtype=torch.float64).abs().numpy() * scale
        for shape in ((cells, concepts), (concepts, channels))
    )
    return rows, columns


def plainly(v: np.ndarray, w: np.ndarray, h: np.ndarray, most: int = 200) -> tuple[np.ndarray, np.ndarray, int]:
    """The authors' loop, element by element: W, H and the number of steps."""
    first = previous = np.sqrt(((v - w @ h) ** 2).sum())
    for step in range(most):
        above, below = v @ h.T, w @ h @ h.T
        w = np.array([[w[i, r] * above[i, r] / below[i, r] for r in range(len(h))] for i in range(len(v))])
        above, below = w.T @ v, w.T @ w @ h
        h = np.array([[h[r, k] * above[r, k] / below[r, k] for k in range(v.shape[1])] for r in range(len(h))])
        if step % 10 == 0:
            error = np.sqrt(((v - w @ h) ** 2).sum())
            if (previous - error) / first < 1e-4:
                break
            previous = error
    return w, h, step + 1


def test_factorisation_takes_the_authors_steps() -> None:
    v = values(14, 3) @ values(3, 6, seed=2) + 0.05 * values(14, 6, seed=3)
    w, h, steps = plainly(v.numpy(), *start(14, 3, 6, float(v.mean()), seed=4))
    found = factorise(v, 3, 4)
    assert steps < 200  # the stop is part of what is compared
    assert len(found.errors) == 2 + (steps - 1) // 10
    np.testing.assert_allclose(found.strengths @ found.directions, w @ h, rtol=1e-9)
    lengths = np.linalg.norm(h, axis=1)
    order = np.argsort(-((w * lengths) ** 2).sum(0))
    np.testing.assert_allclose(found.strengths, (w * lengths)[:, order], rtol=1e-9)
    np.testing.assert_allclose(found.directions, (h / lengths[:, None])[order], rtol=1e-9)


def test_strengths_of_known_concepts_are_the_best_ones() -> None:
    v, directions = values(9, 5), values(3, 5, seed=1)
    found = strengths_at(v, directions)
    best = np.array([optimize.nnls(directions.T.numpy(), row.numpy())[0] for row in v])
    np.testing.assert_allclose(found.numpy(), best, atol=1e-6)
    assert (best == 0).any()  # where the bound matters
    assert not strengths_at(v, torch.zeros(2, 5)).any()


def tail(network: nn.Sequential, cells: torch.Tensor) -> torch.Tensor:
    return network[2:](cells)


def curved() -> nn.Sequential:
    """What follows the ReLU is not linear."""
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3, padding=1),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 4),
    )
    seeded(network, 3)
    return network


@pytest.mark.parametrize("network", [pooled(), curved()], ids=["linear", "curved"])
def test_deep_feature_factorisation(network: nn.Sequential) -> None:
    x = picture(8, 12, pictures=2)
    maps = DeepFeatureFactorisation(concepts=3, layer="1", seed=2)(network, x, 1)
    for one in range(2):
        with torch.no_grad():
            cells = network[:2](x[one : one + 1])
        flat = cells[0].flatten(1).T.double()
        factors = factorise(flat, 3, 2)
        parts = [torch.outer(factors.strengths[:, r], factors.directions[r]) for r in range(3)]
        with torch.no_grad():
            effects = [
                tail(network, cells)[0, 1] - tail(network, cells - part.T.float().view_as(cells))[0, 1]
                for part in parts
            ]
            alone = [
                (factors.strengths[:, r].max() * factors.directions[r]).float()[None, :, None, None].expand_as(cells)
                for r in range(3)
            ]
            answers = [tail(network, cells).softmax(1)[0].sort(descending=True) for cells in alone]
        expected = sum(
            effect * factors.strengths[:, r] / factors.strengths[:, r].sum() for r, effect in enumerate(effects)
        )
        assert close(maps.values[one, 0].double(), expected.view(4, 6), 1e-4)
        assert close(maps.arrays["effects"][one], torch.stack(effects), 1e-4)
        assert close(maps.arrays["concepts"][one].double(), factors.strengths.T.reshape(3, 4, 6), 1e-5)
        for r, answer in enumerate(answers):
            assert maps.arrays["classes"][one, r].tolist() == answer.indices[:3].tolist()
            assert close(maps.arrays["class_probabilities"][one, r], answer.values[:3], 1e-4)


def test_negative_activations_are_lifted_by_their_channels_minimum() -> None:
    network, x = curved(), picture(8, 12)
    with torch.no_grad():
        cells = network[:1](x)[0].flatten(1).T
    assert (cells < 0).any()
    for shift, floor in (("negative", cells.amin(0).clamp(max=0)), ("always", cells.amin(0))):
        maps = DeepFeatureFactorisation(concepts=2, layer="0", shift=shift)(network, x, 0)
        factors = factorise((cells - floor).double(), 2, 0)
        assert close(maps.arrays["concepts"][0].double(), factors.strengths.T.reshape(2, 4, 6), 1e-5)


def test_activations_without_a_concept_keep_what_the_concepts_do_not_explain() -> None:
    directions, strengths = torch.eye(2, 3), torch.rand(2, 2, 2, generator=torch.Generator().manual_seed(1))
    bank = Bank(directions=directions, floor=torch.zeros(3), strengths=strengths[None])
    activations = torch.ones(3, 2, 2)
    made = Without(bank, strengths).make(activations, slice(0, 3))
    assert torch.equal(made[0], activations)
    assert torch.equal(made[1][0], 1 - strengths[0])
    assert torch.equal(made[1][1:], activations[1:])
    assert torch.equal(made[2][1], 1 - strengths[1])
    assert torch.equal(Without(bank, strengths).make(activations, slice(2, 3)), made[2:3])


def crops_of(x: torch.Tensor, patch: int) -> torch.Tensor:
    """As the authors cut them: unfolded, every 0.8 of a crop, enlarged to the picture."""
    cut = functional.unfold(x, patch, stride=int(0.8 * patch)).transpose(1, 2)
    return functional.interpolate(cut.reshape(-1, 3, patch, patch), x.shape[-2:], mode="bilinear", align_corners=False)


def jansen(masks: np.ndarray, scores: np.ndarray, rows: int) -> np.ndarray:
    """The authors' estimator over A, B and the C of every factor, in this order."""
    a = scores[:rows]
    of = [scores[rows * (2 + i) : rows * (3 + i)] for i in range(masks.shape[1])]
    variance = sum((value - a.mean()) ** 2 for value in a) / (rows - 1)
    return np.array([((a - c) ** 2).sum() / (2 * rows * variance) for c in of])


@pytest.mark.parametrize("network", [pooled(16), curved()], ids=["linear", "curved"])
def test_craft(network: nn.Sequential) -> None:
    x, rows, concepts = picture(8, 12, pictures=2), 8, 3
    method = Craft(concepts=concepts, patch=4, samples=rows, sequence="halton", layer="1", seed=5)
    maps = method(network, x, 1)
    drawn = qmc.Halton(2 * concepts, scramble=False).random(rows).astype(np.float32)
    a, b = drawn[:, :concepts], drawn[:, concepts:]
    masks = np.concatenate([a, b, *(np.where(np.eye(concepts)[i].astype(bool), b, a) for i in range(concepts))])
    for one in range(2):
        with torch.no_grad():
            crops = network[:2](crops_of(x[one : one + 1], 4)).mean((2, 3)).double()
            cells = network[:2](x[one : one + 1])
        directions = factorise(crops, concepts, 5).directions
        u = np.array([optimize.nnls(directions.T.numpy(), cell.numpy())[0] for cell in cells[0].flatten(1).T.double()])
        scores = []
        for mask in masks:
            built = torch.from_numpy((u * mask) @ directions.numpy()).T.float().view_as(cells)
            with torch.no_grad():
                scores.append(float(tail(network, built)[0, 1]))
        indices = jansen(masks, np.array(scores), rows)
        np.testing.assert_allclose(maps.arrays["effects"][one], indices, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(maps.arrays["concepts"][one].flatten(1).T, u, rtol=1e-4, atol=1e-6)
        expected = (u / np.maximum(u.sum(0), 1e-30)) @ indices
        assert close(maps.values[one, 0].flatten().double(), torch.from_numpy(expected), 1e-3)


def test_a_concept_is_taken_apart_from_the_crops_that_hold_it() -> None:
    """The recursion by hand: crops factorised at the later layer, the tenth of them that is strongest at the first."""
    network, x, part = curved(), picture(24, 24, pictures=3), 1
    above = Craft(concepts=2, patch=4, samples=2, layer="1", seed=5)
    method = Craft(concepts=2, samples=4, layer="0", seed=7, within=above, part=part + 1)
    passes = Passes(network)
    bank = method.learn(passes, x, passes.layer(x, "0", None))
    with torch.no_grad():
        cut = torch.cat([crops_of(picture_[None], 4) for picture_ in x])
        later, sooner = (network[: end + 1](cut).double() for end in (1, 0))
        kept = strongest(later.mean((2, 3)), part)
        floor = network[:1](torch.cat([x, cut[kept]])).double().amin((0, 2, 3)).clamp(max=0)
    assert len(kept) == math.ceil(len(cut) / 10)
    expected = factorise(sooner[kept].mean((2, 3)) - floor, 2, 7)
    assert bank.crops is not None
    assert torch.equal(bank.crops.pictures, kept // (len(cut) // 3))
    assert close(bank.directions.double(), expected.directions, 1e-4)
    assert close(bank.crops.strengths.double(), expected.strengths, 1e-4)
    other = factorise(sooner.mean((2, 3)) - floor, 2, 7)  # the twin: of all crops
    assert not close(bank.directions.double(), other.directions, 1e-2)


def strongest(crops: torch.Tensor, part: int) -> torch.Tensor:
    held = factorise(crops, 2, 5).strengths[:, part]
    return held.argsort(descending=True)[: math.ceil(len(held) / 10)].sort().values


def test_halton_is_scipys() -> None:
    first, second = halves("halton", 7, 40, seed=0)
    np.testing.assert_allclose(
        torch.cat([first, second], 1), qmc.Halton(14, scramble=False).random(40), rtol=1e-6, atol=1e-7
    )


def test_weighed_activations_are_built_from_the_concepts_alone() -> None:
    directions, strengths = values(2, 3).float(), values(8, 2).float().T.view(2, 2, 4)
    bank = Bank(directions=directions, floor=torch.tensor([-1.0, 0.0, -2.0]), strengths=strengths[None])
    factors = torch.tensor([[1.0, 1.0], [0.5, 0.0], [0.0, 0.0]])
    made = Weighed(bank, strengths, factors).make(torch.full((3, 2, 4), 99.0), slice(0, 3))
    for row, factor in enumerate(factors):
        for i in range(2):
            for j in range(4):
                expected = bank.floor + sum(factor[r] * strengths[r, i, j] * directions[r] for r in range(2))
                assert torch.allclose(made[row, :, i, j], expected)


def test_a_concept_that_is_nowhere_has_no_part_in_the_map() -> None:
    strengths = torch.stack([torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 3.0]])])
    assert torch.equal(spread(torch.tensor([5.0, 2.0]), strengths), torch.tensor([[0.5, 0.0], [0.0, 1.5]]))
