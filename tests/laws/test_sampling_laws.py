"""Laws of the perturbation methods that ask about regions or draw masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maps import result_of
from sightline.attribution.perturbation.game import games
from sightline.attribution.perturbation.rise import CellMasks, Moments
from sightline.attribution.perturbation.sampling import STEP, draw, relative_error
from sightline.attribution.perturbation.shapley_sampling import gains_of
from sightline.attribution.result import Attribution
from sightline.attribution.table import METHODS
from sightline.images.fills import FILLS
from sightline.images.segments import Grid
from sightline.models.targets import Target
from sightline.passes.masks import MaskSource
from sightline.passes.passes import Passes
from sightline.runs.explain import explain
from sightline.testing.evidence_checks import m7_places
from small import Square, close, flat, picture, seeded, smooth

SEEDS = st.integers(0, 10_000)
LAW = settings(max_examples=10, deadline=None, derandomize=True)
SAMPLING = (
    "shapley-sampling(samples=3, regions=grid(rows=2, columns=3), fill=grey{more})",
    "kernel-shap(samples=40, regions=grid(rows=2, columns=3), fill=grey{more})",
)


def by_region(found: Attribution) -> np.ndarray:
    """The value of each region, from the first of its pixels."""
    _, first = np.unique(found.arrays["regions"], return_index=True)
    return found.map.flatten()[first].astype(np.float64)


@LAW
@given(SEEDS, st.integers(1, 3), st.integers(1, 3))
def test_shapley_gains_of_every_permutation_sum_to_the_difference(seed: int, rows: int, columns: int) -> None:
    network, x = seeded(Square(3 * 6 * 6), seed), picture(6, 6, seed=seed)
    with Passes(network) as passes:
        options = {"regions": Grid(rows=rows, columns=columns), "fill": FILLS.make("grey"), "score": "given"}
        (game,) = games(passes, x, Target.of(1), **options)  # type: ignore[arg-type]
        nothing = game.nothing()
        generator = torch.Generator().manual_seed(seed)
        orders = torch.stack([torch.randperm(game.players, generator=generator) for _ in range(4)])
        gains = gains_of(game, orders, nothing)
    assert torch.allclose(gains.sum(1), torch.tensor(game.everything - nothing).double(), rtol=1e-9, atol=1e-9)


@LAW
@given(SEEDS, st.sampled_from(SAMPLING))
def test_efficiency_and_the_weights_of_a_linear_network(seed: int, spec: str) -> None:
    network, x = flat(6, 6, seed), picture(6, 6, seed=seed)
    found = result_of(network, x, spec.format(more=f", seed={seed}"), target=1)
    values = by_region(found)
    with torch.no_grad():
        difference = float(network(x)[0, 1] - network(torch.full_like(x, 0.5))[0, 1])
    assert values.sum() == pytest.approx(difference, rel=1e-4, abs=1e-5)
    own = ((x[0] - 0.5) * network[1].weight[1].detach().reshape(3, 6, 6)).sum(0).numpy()
    expected = [own[found.arrays["regions"] == region].sum() for region in range(6)]
    assert np.allclose(values, expected, atol=1e-4 * np.abs(expected).max())
    ablated = result_of(network, x, "feature-ablation(regions=grid(rows=2, columns=3), fill=grey)", target=1)
    assert np.allclose(by_region(ablated), expected, atol=1e-4 * np.abs(expected).max())


@LAW
@given(SEEDS)
def test_lime_without_penalty_finds_the_weights_of_a_linear_network(seed: int) -> None:
    network, x = flat(6, 6, seed), picture(6, 6, seed=seed)
    spec = f"lime(regions=grid(rows=2, columns=3), samples=40, penalty=0, fill=grey, score=given, seed={seed})"
    own = ((x[0] - 0.5) * network[1].weight[1].detach().reshape(3, 6, 6)).sum(0).numpy()
    found = result_of(network, x, spec, target=1)
    expected = [own[found.arrays["regions"] == region].sum() for region in range(6)]
    assert np.allclose(by_region(found), expected, atol=1e-3 * np.abs(expected).max())
    assert found.numbers["relative_error"] < 1e-3


@LAW
@given(SEEDS, st.sampled_from(["jansen", "janon", "glen"]))
def test_sobol_of_a_linear_network_is_the_share_of_each_squared_weight(seed: int, estimator: str) -> None:
    network, x = flat(6, 6, seed), picture(6, 6, seed=seed)
    spec = f"sobol(regions=grid(rows=2, columns=2), samples=512, fill=grey, estimator={estimator})"
    found = result_of(network, x, spec, target=1, seed=seed)
    own = ((x[0] - 0.5) * network[1].weight[1].detach().reshape(3, 6, 6)).sum(0).numpy()
    weights = np.array([own[found.arrays["regions"] == region].sum() for region in range(4)])
    assert np.allclose(by_region(found), weights**2 / (weights**2).sum(), atol=0.05)


def test_hsic_is_zero_of_what_the_score_does_not_see() -> None:
    network, x = flat(6, 6), picture(6, 6)
    with torch.no_grad():
        network[1].weight.view(3, 3, 6, 6)[..., 3:] = 0  # the right half is not seen
    found = result_of(network, x, "hsic(regions=grid(rows=1, columns=2), samples=256, fill=grey)", target=1)
    seen, unseen = by_region(found)
    assert unseen < 0.01 * seen


class Given(MaskSource):
    """Masks as they are given, `n h w`."""

    def __init__(self, masks: torch.Tensor) -> None:
        self.masks = masks

    def __len__(self) -> int:
        return len(self.masks)

    def make(self, rows: slice) -> torch.Tensor:
        return self.masks[rows][:, None, None]


@pytest.mark.parametrize("normalise", ["expected", "covered", "centred"])
def test_expectation_of_rise_of_a_linear_score(normalise: str) -> None:
    """With every mask of 3 × 3 independent pixels given once, the mean is the expectation, known in closed form."""
    masks = torch.tensor([[int(bit) for bit in f"{number:09b}"] for number in range(512)]).float().unflatten(1, (3, 3))
    weights, bias = torch.arange(9.0).unflatten(0, (3, 3)).double() - 3, 20.0
    moments = Moments(3, 3)
    moments.add(Given(masks), (masks.double() * weights).sum((1, 2)) + bias)
    values, _ = moments.estimate(normalise, 0.5)
    # E[p m_λ] / E[m] = b + Σ w / 2 + w_λ / 2 for independent pixels that are shown in half of the masks
    assert torch.allclose(values, bias + weights.sum() / 2 + weights / 2)


def test_the_mean_of_rise_masks_is_how_often_a_cell_is_shown() -> None:
    masks = CellMasks.draw(6000, 4, 0.3, torch.Size((12, 15)), seed=0).make(slice(0, 6000))
    assert masks.mean(0).sub(0.3).abs().max() < 0.03


@pytest.mark.parametrize(
    "spec",
    [
        "rise(samples=80, cells=3, normalise={word}, seed={seed})".replace("{word}", word)
        for word in ("expected", "covered", "centred")
    ]
    + [
        "lime(samples=60, regions=grid(rows=2, columns=3), fill=grey, score=given, penalty=0, seed={seed})",
        "shapley-sampling(samples=6, regions=grid(rows=2, columns=3), fill=grey, seed={seed})",
        "kernel-shap(samples=60, regions=grid(rows=3, columns=4), fill=grey, seed={seed})",
        # Hardly more draws than regions: a fit that passes through its samples must not say that it is sure.
        "kernel-shap(samples=44, regions=grid(rows=4, columns=4), fill=grey, seed={seed})",
        "lime(samples=24, regions=grid(rows=3, columns=4), fill=grey, score=given, penalty=0, seed={seed})",
    ],
)
def test_the_standard_error_told_is_the_error_made(spec: str) -> None:
    network, x = smooth(), picture(7, 8)
    with torch.no_grad():
        network[-1].weight.mul_(30)
    found = [result_of(network, x, spec.format(seed=seed), target=1) for seed in range(16)]
    made = np.std([one.map for one in found], 0, ddof=1).mean()
    told = np.mean([one.arrays["standard_error"] for one in found])
    assert 0.6 < told / made < 1.6


def test_the_error_of_a_kernel_fit_by_its_residuals_alone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.linalg, "solve", lambda _leverage, residual: residual)
    with pytest.raises(AssertionError):
        test_the_standard_error_told_is_the_error_made(
            "kernel-shap(samples=44, regions=grid(rows=4, columns=4), fill=grey, seed={seed})"
        )


@pytest.mark.parametrize(
    "spec", ["sobol(samples=32, {more})", "sobol(samples=32, estimator=glen, {more})", "hsic(samples=100, {more})"]
)
def test_the_standard_error_of_an_even_sequence_is_not_told_too_small(spec: str) -> None:
    network, x = smooth(), picture(7, 8)
    with torch.no_grad():
        network[-1].weight.mul_(30)
    more = "regions=grid(rows=2, columns=4), fill=grey, seed={seed}"
    found = [result_of(network, x, spec.format(more=more.format(seed=seed)), target=1) for seed in range(10)]
    made = np.std([one.map for one in found], 0, ddof=1).mean()
    assert np.mean([one.arrays["standard_error"] for one in found]) > 0.9 * made > 0


@pytest.mark.parametrize(
    ("name", "most"), [("rise(cells=3, samples=3000, normalise=centred", 3000), ("shapley-sampling(samples=400", 400)]
)
def test_drawing_stops_when_sure_and_a_map_does_not_depend_on_its_batch_mates(name: str, most: int) -> None:
    network, x = smooth(), picture(8, 8, pictures=3)
    with torch.no_grad():
        network[-1].weight.mul_(30)
        x[1] = x[1] * 0.02 + 0.49  # nearly flat: it takes another number of samples
    together = explain(network, x, f"{name}, until=0.05)", target=1)
    assert isinstance(together, list)
    for one, pixels in zip(together, x, strict=True):
        alone = result_of(network, pixels[None], f"{name}, until=0.05)", target=1)
        assert one.numbers["samples"] == alone.numbers["samples"] < most
        assert one.numbers["relative_error"] <= 0.05
        assert close(torch.from_numpy(one.map), torch.from_numpy(alone.map), 1e-4)
    sure = result_of(network, x[:1], f"{name}, until=0.2)", target=1)
    assert sure.numbers["samples"] <= together[0].numbers["samples"]


def test_rise_by_the_papers_formula_finds_a_planted_patch() -> None:
    m7_places(METHODS.make("rise(cells=4, samples=1500)"), ((32, 48),))


def test_drawing_looks_at_the_error_step_by_step_and_draws_all_without_a_limit() -> None:
    asked: list[tuple[int, int]] = []

    def more(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append((rows.start, rows.stop))
        return torch.tensor([0.0, 1.0]), torch.full((2,), 1 / rows.stop**0.5)

    assert draw(1000, 0.0, more).samples == 1000
    assert asked == [(0, 1000)]
    asked.clear()
    found = draw(1000, 0.08, more)
    assert found.samples == 192  # the first multiple of 64 above 1 / 0.08² = 156
    assert asked == [(start, start + STEP) for start in range(0, 192, STEP)]
    assert relative_error(torch.ones(3), torch.zeros(3)) == 0
    assert relative_error(torch.ones(3), torch.ones(3)) == 1
