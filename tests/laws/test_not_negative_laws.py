"""Least squares without negative answers: at the minimum, however alike the columns are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.attribution.concepts import not_negative as module
from sightline.attribution.concepts.factors import strengths_at
from sightline.attribution.concepts.not_negative import not_negative

seeds = st.integers(0, 1_000_000)
apart = st.sampled_from([0.0, *(10.0**-power for power in range(1, 17))])
"""How far a copy of a direction lies from it."""
shapes = st.tuples(st.integers(1, 20), st.integers(1, 30), st.integers(1, 12))


def asked(
    shape: tuple[int, int, int], seed: int, distance: float, stretch: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells and directions ≥ 0, as after a ReLU; half of the directions are almost copies of others, maybe of zeros."""
    cells, channels, concepts = shape
    generator = torch.Generator().manual_seed(seed)

    def drawn(rows: int) -> torch.Tensor:
        return (torch.rand((rows, channels), generator=generator).double() - 0.3).clamp(min=0)

    directions = drawn(concepts)
    for _ in range(concepts // 2):
        one, other = torch.randint(concepts, (2,), generator=generator).tolist()
        directions[one] = directions[other] * (0.1 + torch.rand(1, generator=generator)) + distance * drawn(1)[0]
    directions *= 10.0 ** torch.randint(-stretch, stretch + 1, (concepts, 1), generator=generator)
    return drawn(cells), directions


def beyond(values: torch.Tensor, directions: torch.Tensor, found: torch.Tensor) -> float:
    """How far the conditions of Karush, Kuhn and Tucker are missed, for cells and directions of length 1."""
    slopes = (values - found @ directions) @ directions.T
    scale = torch.linalg.norm(values, dim=1)[:, None] * torch.linalg.norm(directions, dim=1)
    slopes = slopes / torch.where(scale == 0, 1.0, scale)
    return float(torch.where(found > 0, slopes.abs(), slopes).max().clamp(min=0))


@settings(max_examples=150, deadline=None)
@given(shapes, seeds, apart, st.sampled_from([0, 6]))
def test_strengths_cannot_be_bettered(shape: tuple[int, int, int], seed: int, distance: float, stretch: int) -> None:
    values, directions = asked(shape, seed, distance, stretch)
    found = strengths_at(values, directions)
    assert found.shape == (shape[0], shape[2])
    assert torch.isfinite(found).all()
    assert (found >= 0).all()
    assert beyond(values, directions, found) <= 1e-9


@settings(max_examples=40, deadline=None)
@given(shapes, seeds, apart)
def test_error_is_that_of_scipy(shape: tuple[int, int, int], seed: int, distance: float) -> None:
    nnls = pytest.importorskip("scipy.optimize").nnls
    values, directions = asked(shape, seed, distance)
    found = strengths_at(values, directions)
    for cell, own in zip(values, found, strict=True):
        _, error = nnls(directions.T.numpy(), cell.numpy())
        assert float(torch.linalg.norm(cell - own @ directions)) <= error + 1e-9 * float(torch.linalg.norm(cell))


@settings(max_examples=40, deadline=None)
@given(shapes, seeds)
def test_answer_is_the_best_of_all_sets(shape: tuple[int, int, int], seed: int) -> None:
    """The slow way: every set of at most five directions is tried."""
    cells, channels, concepts = min(shape[0], 4), shape[1], min(shape[2], 5)
    values, directions = asked((cells, channels, concepts), seed, 1e-3)
    found = strengths_at(values, directions)
    for cell, own in zip(values.numpy(), found, strict=True):
        errors = [float(np.linalg.norm(cell))]
        for code in range(1, 2**concepts):
            kept = [place for place in range(concepts) if code >> place & 1]
            answer = np.linalg.lstsq(directions.numpy()[kept].T, cell, rcond=None)[0]
            if (answer >= 0).all():
                errors.append(float(np.linalg.norm(cell - answer @ directions.numpy()[kept])))
        assert float(np.linalg.norm(cell - (own @ directions).numpy())) <= min(errors) + 1e-9


@settings(max_examples=40, deadline=None)
@given(shapes, seeds, apart)
def test_a_cell_is_answered_alike_whichever_others_are_asked(
    shape: tuple[int, int, int], seed: int, distance: float
) -> None:
    values, directions = asked(shape, seed, distance)
    together, alone = strengths_at(values, directions), strengths_at(values[:1], directions)
    assert torch.allclose(together[:1] @ directions, alone @ directions, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(shapes, seeds)
def test_twins_share_evenly_and_zeros_get_nothing(shape: tuple[int, int, int], seed: int) -> None:
    values, directions = asked(shape, seed, 0.1)
    once = strengths_at(values, directions[:1])
    twice = strengths_at(values, torch.cat([directions[:1], torch.zeros_like(directions[:1]), directions[:1]]))
    assert torch.allclose(twice[:, 0], twice[:, 2], atol=1e-12)
    assert torch.allclose(twice.sum(1), once[:, 0], atol=1e-9)
    assert not twice[:, 1].any()


def test_answers_that_are_cut_off_at_zero_are_not_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: without its rounds it is plain least squares with negative answers set to 0."""
    values, directions = asked((20, 10, 8), 0, 0.1)
    assert beyond(values, directions, not_negative(directions.T, values)) <= 1e-9
    monkeypatch.setattr(module, "_ROUNDS", 0)
    assert beyond(values, directions, not_negative(directions.T, values)) > 1e-3
