"""LIME: a linear model of the score over regions that are shown or hidden, fitted near the picture.

    w = argmin Σ_i π_i (v(z_i) − w_0 − wᵀ z_i)² + penalty,   π_i = exp(−d_i² / (2 width²)),   z_i: each region ½

Ribeiro, Singh, Guestrin, "Why Should I Trust You?", KDD 2016, equation 2. The defaults are those of the authors'
`lime_image`: quickshift regions hidden under their own mean colour, 1000 samples of which the first is the picture, d
the cosine distance of z_i to all ones, width ¼, a ridge of penalty 1 over all regions, the probability. Captum's are
`lime(distance=pixels, width=1, surrogate=lasso, penalty=0.01, fill=mean, score=given)`. The standard error is that of
the weighted fit with each sample left out in turn (for the lasso, of the fit without its penalty). Every pixel of a
region has the region's weight. Costs one forward pass a sample.

    sightline.explain(model, "dog.jpg", "lime(regions=slic(segments=50), samples=1000)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.base import Needs, Traits
from sightline.attribution.perturbation.game import Game, HidingRegions, Players, Score, sums
from sightline.attribution.perturbation.over_regions import OverRegions
from sightline.attribution.perturbation.sampling import Estimate, Sampled, draw
from sightline.images.segments import Quickshift
from sightline.types import Doc, Range

_ROUNDS, _STILL = 10_000, 1e-10  # of the lasso's steps


@dataclass(frozen=True, kw_only=True)
class Lime(OverRegions):
    """The weights of a linear model of the score over regions that are shown or hidden."""

    regions: Players = Quickshift()
    samples: Annotated[int, Range(3, 1_000_000), Doc("pictures with random regions hidden")] = 1000
    distance: Annotated[Literal["regions", "pixels"], Doc("cosine distance between what")] = "regions"
    width: Annotated[float, Range(1e-3, 1e3), Doc("of the kernel that weighs a sample by its distance")] = 0.25
    surrogate: Annotated[Literal["ridge", "lasso"], Doc("the penalty's kind")] = "ridge"
    penalty: Annotated[float, Range(0, 1e6), Doc("of the weights, in the units of scikit-learn's alpha")] = 1.0
    fill: HidingRegions = None
    score: Score = "probability"

    own = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="n F",
        paper="Ribeiro, Singh, Guestrin, Why Should I Trust You?, KDD 2016",
        linear=False,
    )

    def estimate(self, game: Game) -> Sampled:
        generator = torch.Generator().manual_seed(self.seed)
        shown = (torch.rand(self.samples, game.players, generator=generator) < 0.5).float()
        shown[0] = 1
        distance = of_regions(shown) if self.distance == "regions" else of_pixels(game, shown)
        near = torch.exp(-(distance**2) / (2 * self.width**2))
        v: list[torch.Tensor] = []

        def more(rows: slice) -> Estimate:
            v.append(game.worth(shown[rows]))
            so_far = slice(0, rows.stop)
            return fit(shown[so_far], torch.cat(v), near[so_far], self.surrogate, self.penalty)

        return draw(self.samples, self.until, more)


def of_regions(shown: torch.Tensor) -> torch.Tensor:
    """Cosine distance of coalitions `n r` to that of all regions, `n`; 1 of the empty one."""
    return 1 - (shown.double().mean(1)).sqrt()


def of_pixels(game: Game, shown: torch.Tensor) -> torch.Tensor:
    """Cosine distance of what coalitions `n r` show to the picture, `n`; from sums over regions."""
    picture, fill = game.pixels[0], game.fill[0]
    products = (picture * picture, picture * fill, fill * fill)
    own, across, other = (sums(product.sum(0, keepdim=True), game.regions)[0].cpu() for product in products)
    z = shown.double()
    dot, square = z @ own + (1 - z) @ across, z @ own + (1 - z) @ other
    return 1 - dot / (square * own.sum()).sqrt().clamp_min(1e-8)


def fit(z: torch.Tensor, v: torch.Tensor, near: torch.Tensor, surrogate: str, penalty: float) -> Estimate:
    """Weights of the regions and their standard errors: `n r`, `n`, `n` → `r`, `r`; an intercept is fitted too."""
    share = near / near.sum()
    x, y = z.double() - share @ z.double(), v - v[0]  # so that a score that never moves gives zero, not rounding
    y = y - share @ y
    gram, pull = x.T @ (near[:, None] * x), x.T @ (near * y)
    ridge = penalty if surrogate == "ridge" else 0.0
    inverse = torch.linalg.pinv(gram + ridge * torch.eye(len(gram), dtype=torch.float64), hermitian=True)
    weights = inverse @ pull if surrogate == "ridge" else lasso(gram / near.sum(), pull / near.sum(), penalty)
    leverage = near * ((x @ inverse) * x).sum(1) + share
    residual = (y - x @ weights) / (1 - leverage).clamp_min(1e-9)
    pulls = x * (near * residual)[:, None]
    return weights, ((inverse @ pulls.T) ** 2).sum(1).sqrt()


def lasso(gram: torch.Tensor, pull: torch.Tensor, penalty: float) -> torch.Tensor:
    """argmin ½ wᵀ G w − bᵀ w + penalty |w|₁, by proximal gradient steps."""
    steepest = float(torch.linalg.matrix_norm(gram, 2))
    weights = torch.zeros_like(pull)
    for _ in range(_ROUNDS if steepest > 0 else 0):
        before = weights
        stepped = weights - (gram @ weights - pull) / steepest
        weights = stepped.sign() * (stepped.abs() - penalty / steepest).clamp_min(0)
        if float((weights - before).abs().max()) <= _STILL * float(weights.abs().max()):
            break
    return weights
