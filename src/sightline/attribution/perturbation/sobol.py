"""Sobol attribution: which part of the score's variance a region has a share in, alone or with others.

    ST_i = Σ_n (v(A_n) − v(C_in))² / (2 N Var v(A)),   C_i: A with what is shown of region i taken from B

Fel et al., "Look at the Variance! Efficient Black-box Explanations with Sobol-based Sensitivity Analysis", NeurIPS
2021; the estimator of the total index is Jansen's (Computer Physics Communications 117, 1999). A and B are the halves
of a scrambled Sobol sequence in [0, 1]: how much of each region is shown over the fill. Guarantees: of a function that
is linear in the regions, ST_i goes to w_i² over Σ w²; values are ≥ 0 and say nothing of the sign. Where nothing moves
the score, all are 0. The standard error is that of independent draws with the variance known; a Sobol sequence, being
even, stays below it. Costs N (r + 1) forward passes.

    sightline.explain(model, "dog.jpg", "sobol(regions=grid(rows=8, columns=8), samples=32)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch.quasirandom import SobolEngine

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.perturbation.game import Game, Score, Seed, Until, games, play
from sightline.attribution.perturbation.sampling import Estimate, Sampled, draw
from sightline.images.fills import Fill, Mean
from sightline.images.segments import Grid, Regions
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range

_STEP = 8  # rows of the design between two looks at the error


@dataclass(frozen=True, kw_only=True)
class Sobol(Method):
    """The share of each region in the variance of the score."""

    regions: Annotated[Regions, Doc("what is shown in parts as one")] = Grid(rows=8, columns=8)
    samples: Annotated[int, Range(2, 1 << 20), Doc("rows of the design; a power of 2 is even")] = 32
    fill: Annotated[Fill, Doc("what hides")] = Mean()
    score: Score = "given"
    until: Until = 0.0
    seed: Seed = 0

    traits = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="N (r + 1) F",
        paper="Fel et al., Look at the Variance! Sobol-based Sensitivity Analysis, NeurIPS 2021",
        signed=False,
        deterministic=False,
        linear=False,
    )

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        played = games(passes, pixels, target, regions=self.regions, fill=self.fill, score=self.score)
        return play(played, self._indices)

    def _indices(self, game: Game) -> Sampled:
        design = SobolEngine(2 * game.players, scramble=True, seed=self.seed).draw(self.samples)
        first, second = design.split(game.players, 1)
        each = torch.eye(game.players, dtype=torch.bool)
        scores: list[torch.Tensor] = []

        def more(rows: slice) -> Estimate:
            a, b = first[rows, None], second[rows, None]
            scores.append(game.worth(torch.cat([a, torch.where(each, b, a)], 1).flatten(0, 1)))
            return total_indices(torch.cat(scores).unflatten(0, (-1, game.players + 1)))

        return draw(self.samples, self.until, more, step=_STEP)


def total_indices(scores: torch.Tensor) -> Estimate:
    """Jansen's estimate and its standard error: `n (1 + r)`, v(A) and v(C_i) row by row → `r`, `r`."""
    squares = (scores[:, :1] - scores[:, 1:]) ** 2
    double = 2 * scores[:, 0].var()
    if not double > 0:
        return torch.zeros_like(squares[0]), torch.zeros_like(squares[0])
    return squares.mean(0) / double, squares.std(0) / (len(squares) ** 0.5 * double)
