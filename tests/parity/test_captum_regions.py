"""Feature ablation, Shapley values, LIME and KernelSHAP equal Captum's and shap's where the definitions coincide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from small import close, picture, smooth

captum = pytest.importorskip("captum.attr")

from sightline.attribution.perturbation.game import Coalitions  # noqa: E402
from sightline.attribution.perturbation.kernel_shap import Plan  # noqa: E402
from sightline.attribution.perturbation.kernel_shap import fit as kernel_fit  # noqa: E402
from sightline.attribution.result import Attribution  # noqa: E402
from sightline.images.segments import Grid  # noqa: E402
from sightline.images.values import ValueRange  # noqa: E402
from sightline.runs.explain import explain  # noqa: E402

AGREED = 1e-4


def sharp() -> nn.Module:
    network = smooth()
    with torch.no_grad():
        network[-1].weight.mul_(30)
    return network


def map_of(network: nn.Module, x: torch.Tensor, spec: str) -> torch.Tensor:
    found = explain(network, x, spec, target=1)
    assert isinstance(found, Attribution)
    return torch.from_numpy(found.map)


def regions_of(x: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    return Grid(rows=rows, columns=columns).make(x, ValueRange.unit())


@torch.no_grad()
@pytest.mark.parametrize("grid", [(2, 3), (5, 4), (1, 1)])
@pytest.mark.parametrize(("word", "value"), [("black", 0.0), ("grey", 0.5)])
def test_feature_ablation(grid: tuple[int, int], word: str, value: float) -> None:
    network, x = sharp(), picture(9, 11)
    expected = captum.FeatureAblation(network).attribute(
        x, target=1, baselines=value, feature_mask=regions_of(x, *grid)[:, None]
    )
    spec = f"feature-ablation(regions=grid(rows={grid[0]}, columns={grid[1]}), fill={word})"
    assert close(map_of(network, x, spec), expected[0, 0].float(), AGREED)


@torch.no_grad()
def test_shapley_sampling_of_the_same_permutations() -> None:
    network, x = sharp(), picture(9, 11)
    sampler = captum.ShapleyValueSampling(network)
    generator = torch.Generator().manual_seed(3)
    orders = [torch.randperm(6, generator=generator).tolist() for _ in range(5)]
    sampler.permutation_generator = lambda features, samples: iter(orders)
    expected = sampler.attribute(x, target=1, n_samples=5, baselines=0.5, feature_mask=regions_of(x, 2, 3)[:, None])
    spec = "shapley-sampling(regions=grid(rows=2, columns=3), samples=5, seed=3, fill=grey)"
    assert close(map_of(network, x, spec), expected[0, 0].float(), AGREED)


def rows_of(samples: int, players: int, seed: int) -> torch.Tensor:
    shown = (torch.rand(samples, players, generator=torch.Generator().manual_seed(seed)) < 0.5).float()
    shown[0] = 1
    return shown


@torch.no_grad()
@pytest.mark.parametrize("penalty", [0.01, 0.3])
def test_lime_with_captums_definition_and_the_same_samples(penalty: float) -> None:
    pytest.importorskip("sklearn")
    from captum._utils.models.linear_model import SkLearnLasso

    network, x = sharp(), picture(9, 11)
    lime = captum.Lime(network, interpretable_model=SkLearnLasso(alpha=penalty))
    rows = iter(rows_of(40, 6, seed=2).split(1))
    lime.perturb_func = lambda *_args, **_options: next(rows)
    expected = lime.attribute(x, target=1, n_samples=40, baselines=0.5, feature_mask=regions_of(x, 2, 3)[:, None])
    spec = (
        f"lime(regions=grid(rows=2, columns=3), samples=40, seed=2, distance=pixels, width=1, surrogate=lasso, "
        f"penalty={penalty}, fill=grey, score=given)"
    )
    assert close(map_of(network, x, spec), expected[0, 0].float(), 1e-3)  # sklearn's own tolerance is 1e-4 of the gap


@torch.no_grad()
def test_kernel_shap_of_the_same_samples() -> None:
    pytest.importorskip("sklearn")
    network, x = sharp(), picture(9, 11)
    regions = regions_of(x, 2, 3)
    whole = Plan.of(6, 62, seed=0).whole
    pairs = torch.stack([whole, 1 - whole], 1)[torch.randperm(62, generator=torch.Generator().manual_seed(1))[:20]]
    shap = captum.KernelShap(network)
    ends = [torch.zeros(1, 6), torch.ones(1, 6)]  # Captum's own two rows, of weight a million
    rows = iter([*ends, *pairs.flatten(0, 1).split(1)])
    shap.perturb_func = lambda *_args, **_options: next(rows)
    shap.similarity_func = lambda _own, _other, row, **_options: torch.tensor([1e6 if row.sum() in (0, 6) else 1.0])
    expected = captum.Lime.attribute.__wrapped__(
        shap, x, target=1, n_samples=42, baselines=0.5, feature_mask=regions[:, None]
    )

    def worth(shown: torch.Tensor) -> torch.Tensor:
        masks = Coalitions(shown, regions[0]).make(slice(0, len(shown)))[:, 0]
        return network(0.5 + masks * (x - 0.5))[:, 1].double()

    nothing, everything = worth(torch.zeros(1, 6)), worth(torch.ones(1, 6))
    plan = Plan(torch.zeros(0, 6), torch.zeros(0).double(), pairs, mass=1.0)
    drawn = (worth(pairs.flatten(0, 1)) - nothing).unflatten(0, (-1, 2))
    values, _ = kernel_fit(plan, torch.zeros(0).double(), pairs, drawn, float(everything - nothing))
    assert close(values.float()[regions[0]], expected[0, 0].float(), AGREED)


def test_lasso_equals_scikit_learns() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    from sightline.attribution.perturbation.lime import fit

    generator = torch.Generator().manual_seed(0)
    z, y = (torch.rand(50, 7, generator=generator) < 0.5).float(), torch.randn(50, generator=generator).double()
    near = torch.rand(50, generator=generator).double()
    for surrogate, theirs in (("lasso", linear.Lasso(alpha=0.05, tol=1e-10)), ("ridge", linear.Ridge(alpha=0.5))):
        expected = theirs.fit(z.numpy(), y.numpy(), sample_weight=near.numpy()).coef_
        ours, _ = fit(z, y, near, surrogate, 0.05 if surrogate == "lasso" else 0.5)
        assert np.allclose(ours.numpy(), expected, atol=1e-5)
