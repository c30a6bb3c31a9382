"""HSIC attribution: how much the score depends on whether a region is shown.

    HSIC_i = 1/n² tr(K_i H L H),   K_i = 1 − (z_i − z_i')²,   L = exp(−(y − y')² / (2 width²)),   H = I − 11ᵀ/n

Novello, Fel, Vigouroux, "Making Sense of Dependence: Efficient Black-box Explanations Using Dependence Measure",
NeurIPS 2022. The z are a scrambled Sobol sequence rounded to shown or hidden. width=distances is the median distance of
two scores (the median heuristic); width=scores is the median score, as the authors' code and Xplique have it. Values
are ≥ 0 and say nothing of the sign; a region that the score does not depend on goes to 0 as n grows. Where nothing
moves the score, all are 0. The standard error is that of independent draws, to first order; a Sobol sequence, being
even, stays below it. Costs n forward passes.

    sightline.explain(model, "dog.jpg", "hsic(regions=grid(rows=7, columns=7), samples=500)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch.quasirandom import SobolEngine

from sightline.attribution.base import Needs, Traits
from sightline.attribution.perturbation.game import Game
from sightline.attribution.perturbation.over_regions import OverRegions
from sightline.attribution.perturbation.sampling import Estimate, Sampled, draw
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class Hsic(OverRegions):
    """How much the score depends on each region."""

    samples: Annotated[int, Range(4, 20_000), Doc("pictures with half of the regions hidden")] = 500
    width: Annotated[Literal["distances", "scores"], Doc("whose median is the width of the scores' kernel")] = (
        "distances"
    )

    own = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="n F",
        paper="Novello, Fel, Vigouroux, Making Sense of Dependence, NeurIPS 2022",
        signed=False,
        linear=False,
    )

    def estimate(self, game: Game) -> Sampled:
        shown = SobolEngine(game.players, scramble=True, seed=self.seed).draw(self.samples).round()
        scores: list[torch.Tensor] = []

        def more(rows: slice) -> Estimate:
            scores.append(game.worth(shown[rows]))
            return dependence(shown[: rows.stop].double(), torch.cat(scores), self.width)

        return draw(self.samples, self.until, more)


def dependence(shown: torch.Tensor, scores: torch.Tensor, width: str) -> Estimate:
    """HSIC of each region and its standard error: `n r`, `n` → `r`, `r`."""
    n = len(scores)
    distances = (scores[:, None] - scores[None, :]).abs()
    size = torch.pdist(scores[:, None]).median() if width == "distances" else scores.median().abs()
    if not size > 0:
        return torch.zeros_like(shown[0]), torch.zeros_like(shown[0])
    kernel = torch.exp(-(distances**2) / (2 * size**2))
    kernel = kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
    # Of z in {0, 1}, 1 − (z − z')² is 2 z z' once both are centred: no matrix of n × n for each region.
    z = shown - shown.mean(0)
    each = 2 * z * (kernel @ z) / n
    return each.mean(0).clamp_min(0), 2 * each.std(0) / n**0.5
