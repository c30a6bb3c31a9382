"""What concepts must be for any activations: generated cases."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.attribution.concepts.deep_feature_factorisation import DeepFeatureFactorisation
from sightline.attribution.concepts.factors import factorise
from sightline.attribution.sensitivity import halves, total_indices
from small import close, picture, pooled

seeds = st.integers(0, 10_000)
shapes = st.tuples(st.integers(1, 20), st.integers(1, 9), st.integers(1, 6))


def drawn(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Values ≥ 0, a third of them 0, as after a ReLU."""
    made = torch.rand(shape, generator=torch.Generator().manual_seed(seed)).double()
    return (made - 0.3).clamp(min=0)


@settings(max_examples=60, deadline=None)
@given(shapes, seeds)
def test_factors_are_not_negative_and_the_error_never_grows(shape: tuple[int, int, int], seed: int) -> None:
    cells, channels, concepts = shape
    found = factorise(drawn((cells, channels), seed), concepts, seed, tolerance=0)
    assert (found.strengths >= 0).all()
    assert (found.directions >= 0).all()
    assert torch.isfinite(found.strengths).all()
    errors = torch.tensor(found.errors)
    assert (errors[1:] <= errors[:-1] * (1 + 1e-12) + 1e-12).all()
    lengths = torch.linalg.norm(found.directions, dim=1)
    assert ((lengths - 1).abs().lt(1e-9) | lengths.eq(0)).all()
    held = found.strengths.square().sum(0)
    assert (held[:-1] >= held[1:]).all()


@settings(max_examples=40, deadline=None)
@given(shapes, seeds, st.floats(1e-6, 1e6))
def test_stronger_activations_give_stronger_concepts_of_the_same_directions(
    shape: tuple[int, int, int], seed: int, factor: float
) -> None:
    values = drawn(shape[:2], seed)
    one, other = factorise(values, shape[2], 0, iterations=30), factorise(factor * values, shape[2], 0, iterations=30)
    assert close(factor * one.strengths @ one.directions, other.strengths @ other.directions, 1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 20), st.integers(2, 9), seeds)
def test_one_concept_is_the_strongest_component(cells: int, channels: int, seed: int) -> None:
    """The best factorisation of rank one is the first singular pair, whose signs agree (Perron and Frobenius)."""
    values = drawn((cells, channels), seed) + 0.05
    found = factorise(values, 1, seed, tolerance=0)
    left, size, right = torch.linalg.svd(values)
    assert close(found.strengths[:, 0], left[:, 0].abs() * size[0], 1e-6)
    assert close(found.directions[0], right[0].abs(), 1e-6)
    turned = torch.randperm(cells, generator=torch.Generator().manual_seed(seed))
    again = factorise(values[turned], 1, seed, tolerance=0)
    assert close(
        again.strengths[:, 0], found.strengths[turned, 0], 1e-6
    )  # where there is one best, the order is nothing


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(0, 3))
def test_behind_average_and_linear_the_map_is_cam_of_the_factorisation(seed: int, concepts: int, target: int) -> None:
    network, x = pooled(seed), picture(8, 12, seed=seed)
    maps = DeepFeatureFactorisation(concepts=concepts, layer="1", seed=seed)(network, x, target)
    weights = network[-1].weight.detach()[target]
    built = torch.einsum("rhw,rk->khw", maps.arrays["concepts"][0], maps.arrays["directions"][0])
    expected = (weights[:, None, None] * built).sum(0) / built[0].numel()
    apart = float((maps.values[0, 0] - expected).abs().max())
    assert apart <= 1e-5 * float((weights.abs()[:, None, None] * built).sum(0).max()) + 1e-7
    assert abs(float(maps.values.sum()) - float(maps.arrays["effects"].sum())) <= 1e-5


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.0, 3.0), min_size=2, max_size=6), seeds)
def test_total_index_of_a_linear_score_is_its_share_of_the_variance(weights: list[float], seed: int) -> None:
    w = torch.tensor(weights) + torch.eye(len(weights))[0]
    first, second = halves("sobol", len(w), 1024, seed)
    each = torch.eye(len(w), dtype=torch.bool)
    rows = torch.cat([first[:, None], torch.where(each, second[:, None], first[:, None])], 1)
    found, error = total_indices(rows @ w)
    np.testing.assert_allclose(found, w**2 / (w**2).sum(), atol=0.05)
    assert (error < 0.1).all()


def test_a_map_that_lays_effects_by_the_strongest_cell_is_not_cam() -> None:
    """The broken twin of the map: the identity above tells it."""
    network, x = pooled(3), picture(8, 12)
    maps = DeepFeatureFactorisation(concepts=3, layer="1")(network, x, 1)
    strengths, effects = maps.arrays["concepts"][0], maps.arrays["effects"][0]
    twin = (effects[:, None, None] * strengths / strengths.amax((1, 2), keepdim=True)).sum(0)
    built = torch.einsum("rhw,rk->khw", strengths, maps.arrays["directions"][0])
    expected = (network[-1].weight.detach()[1][:, None, None] * built).sum(0) / built[0].numel()
    assert close(maps.values[0, 0], expected, 1e-4)
    assert not close(twin / twin.sum() * expected.sum(), expected, 1e-2)


def test_thirty_two_rows_of_halton_are_worse_than_of_sobol() -> None:
    """Why the authors' sequence is not the default."""
    apart: dict[str, list[float]] = {"sobol": [], "halton": []}
    each = torch.eye(10, dtype=torch.bool)
    for seed in range(30):
        w = torch.from_numpy(np.random.default_rng(seed).gamma(0.6, size=10)).float()
        for sequence, errors in apart.items():
            first, second = halves(sequence, 10, 32, seed)  # type: ignore[arg-type]
            rows = torch.cat([first[:, None], torch.where(each, second[:, None], first[:, None])], 1)
            errors.append(float((total_indices(rows @ w)[0] - w**2 / (w**2).sum()).abs().max()))
    assert np.mean(apart["halton"]) > 1.5 * np.mean(apart["sobol"])
