"""Sobol attribution: which part of the score's variance a region has a share in, alone or with others.

    ST_i = Σ_n (v(A_n) − v(C_in))² / (2 N Var v(A)),   C_i: A with what is shown of region i taken from B

Fel et al., "Look at the Variance! Efficient Black-box Explanations with Sobol-based Sensitivity Analysis", NeurIPS
2021; the estimator of the total index is Jansen's (Computer Physics Communications 117, 1999). A and B are the halves
of a scrambled Sobol sequence in [0, 1]: how much of each region is shown over the fill. `estimator` takes others of the
same index, as Xplique offers them: `homma` (Homma, Saltelli 1996) 1 − (E[v(A) v(C_i)] − E[v(A)]²) / Var v(A), `janon`
(Janon et al. 2014, eq. 6) the same with mean and variance pooled over A and C_i, `glen` (Glen, Isaacs 2012) 1 − the
correlation of v(A) and v(C_i). Guarantees: of a function that is linear in the regions, ST_i goes to w_i² over Σ w²;
Jansen's values are ≥ 0, the others' may fall below by chance, and none says anything of the sign. Where nothing moves
the score, all are 0. The standard error leaves out each row of the design in turn; a Sobol sequence, being even, stays
below it. Costs N (r + 1) forward passes.

    sightline.explain(model, "dog.jpg", "sobol(regions=grid(rows=8, columns=8), samples=32)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.base import Needs, Traits
from sightline.attribution.perturbation.game import Game, Players
from sightline.attribution.perturbation.over_regions import OverRegions
from sightline.attribution.perturbation.sampling import Estimate, Sampled, draw
from sightline.attribution.sensitivity import Estimator, halves, total_indices
from sightline.images.segments import Grid
from sightline.types import Doc, Range

_STEP = 8  # rows of the design between two looks at the error


@dataclass(frozen=True, kw_only=True)
class Sobol(OverRegions):
    """The share of each region in the variance of the score."""

    regions: Players = Grid(rows=8, columns=8)
    samples: Annotated[int, Range(3, 1 << 20), Doc("rows of the design; a power of 2 is even")] = 32
    estimator: Annotated[Estimator, Doc("of the total index")] = "jansen"

    own = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="N (r + 1) F",
        paper="Fel et al., Look at the Variance! Sobol-based Sensitivity Analysis, NeurIPS 2021",
        signed=False,
        linear=False,
    )

    def asks(self, players: int) -> int:
        return self.samples * (players + 1)

    def estimate(self, game: Game) -> Sampled:
        first, second = halves("sobol", game.players, self.samples, self.seed)
        each = torch.eye(game.players, dtype=torch.bool)
        scores: list[torch.Tensor] = []

        def more(rows: slice) -> Estimate:
            a, b = first[rows, None], second[rows, None]
            scores.append(game.worth(torch.cat([a, torch.where(each, b, a)], 1).flatten(0, 1)))
            return total_indices(torch.cat(scores).unflatten(0, (-1, game.players + 1)), self.estimator)

        return draw(self.samples, self.until, more, step=_STEP)
