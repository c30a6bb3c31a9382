"""KernelSHAP: Shapley values as the weighted linear fit of a game, with the ends held exactly.

    φ = argmin Σ_S π(S) (v(S) − v(∅) − Σ_{i∈S} φ_i)²   with   Σ_i φ_i = v(all) − v(∅),
    π(S) = (r − 1) / (C(r, |S|) · |S| · (r − |S|))

Lundberg, Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017, theorem 2. Coalitions as in the
`shap` package: those of one region and of all but one, then whole sizes as long as the budget would draw them all, then
random ones of the rest, each with its complement. Where `samples` suffices for all 2^r − 2 coalitions, the values are
the exact Shapley values and the standard error is 0. Guarantees: they sum to v(all) − v(∅). Costs `samples` forward
passes and two; no more than 2^r.

    sightline.explain(model, "dog.jpg", "kernel-shap(regions=slic(segments=40), samples=2048)")
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.base import Needs, Traits
from sightline.attribution.perturbation.game import Game
from sightline.attribution.perturbation.over_regions import OverRegions
from sightline.attribution.perturbation.sampling import Estimate, Sampled, draw
from sightline.errors import UsageError
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class KernelShap(OverRegions):
    """Shapley values of regions from a weighted linear fit."""

    samples: Annotated[int, Range(2, 1_000_000), Doc("coalitions")] = 2048

    own = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="n F + 2 F",
        paper="Lundberg, Lee, A Unified Approach to Interpreting Model Predictions, NeurIPS 2017",
    )

    def asks(self, players: int) -> int:
        plan = Plan.of(players, self.samples, self.seed)
        return 1 + len(plan.whole) + 2 * len(plan.pairs)

    def estimate(self, game: Game) -> Sampled:
        plan = Plan.of(game.players, self.samples, self.seed)
        nothing = game.nothing()
        total = game.everything - nothing
        whole = game.worth(plan.whole) - nothing
        drawn: list[torch.Tensor] = []

        def more(rows: slice) -> Estimate:
            drawn.append(game.worth(plan.pairs[rows].flatten(0, 1)) - nothing)
            pairs, left = plan.pairs[: rows.stop], torch.cat(drawn).unflatten(0, (-1, 2))
            return fit(plan, whole, pairs, left, total)

        if not len(plan.pairs):
            values, error = fit(plan, whole, plan.pairs, torch.zeros(0, 2, dtype=torch.float64), total)
            return Sampled(values, error, 0.0, len(plan.whole))
        found = draw(len(plan.pairs), self.until, more)
        return Sampled(found.values, found.error, found.relative, len(plan.whole) + 2 * found.samples)


@dataclass(frozen=True, eq=False)
class Plan:
    """Which coalitions are asked about.

    Attributes:
        whole: `n r`, all coalitions of some sizes.
        weights: `n`, π of each of them.
        pairs: `m 2 r`, random coalitions of the other sizes with their complements.
        mass: Σ π over all coalitions of the other sizes.
    """

    whole: torch.Tensor
    weights: torch.Tensor
    pairs: torch.Tensor
    mass: float

    @classmethod
    def of(cls, players: int, samples: int, seed: int) -> Plan:
        """The plan for a budget.

        Raises:
            UsageError: a budget that cannot tell the regions apart.
        """
        if samples < min(2 * players, 2**players - 2):
            raise UsageError(f"kernel-shap(samples={samples}) is too few for {players} regions: give {2 * players}")
        sizes = list(range(1, players // 2 + 1))
        mass = {size: (players - 1) / (size * (players - size)) * (1 if 2 * size == players else 2) for size in sizes}
        count = {size: math.comb(players, size) * (1 if 2 * size == players else 2) for size in sizes}
        left, everything = samples, 2**players - 2 <= samples
        whole: list[int] = []
        while sizes and (everything or not whole or left * mass[sizes[0]] >= count[sizes[0]] * _sum(mass, sizes)):
            whole.append(sizes.pop(0))
            left -= count[whole[-1]]
        rows = [row for size in whole for row in _all_of(players, size)]
        weights = [mass[size] / count[size] for size in whole for _ in range(count[size])]
        pairs = _random_pairs(players, {size: mass[size] for size in sizes}, left // 2 if sizes else 0, seed)
        shown = torch.stack(rows) if rows else torch.zeros(0, players)
        return cls(shown, torch.tensor(weights, dtype=torch.float64), pairs, _sum(mass, sizes))


def fit(plan: Plan, whole: torch.Tensor, pairs: torch.Tensor, drawn: torch.Tensor, total: float) -> Estimate:
    """The fit that sums to `total`, and its standard error: the pairs are what is random.

    Args:
        plan: the coalitions.
        whole: `n`, v of `plan.whole` − v(∅).
        pairs: `m 2 r`, those of `plan.pairs` that were drawn so far.
        drawn: `m 2`, v of them − v(∅).
        total: v(all) − v(∅).
    """
    each = plan.mass / (2 * len(pairs)) if len(pairs) else 0.0
    z = torch.cat([plan.whole, pairs.flatten(0, 1)]).double()
    weights = torch.cat([plan.weights, torch.full((2 * len(pairs),), each, dtype=torch.float64)])
    v = torch.cat([whole, drawn.flatten()])
    players = z.shape[1]
    inverse = torch.linalg.pinv(z.T @ (weights[:, None] * z)) if len(z) else torch.zeros(players, players).double()
    ones = torch.ones(players, dtype=torch.float64)
    toward = inverse @ ones if len(z) else ones
    toward = toward / toward.sum()
    free = inverse @ (z.T @ (weights * v))
    values = free + toward * (total - free.sum())
    if not len(pairs):
        return values, torch.zeros_like(values)
    held = inverse - toward[:, None] * (ones @ inverse)[None, :]
    rows = pairs.double()
    # Each pair left out in turn: where a fit passes through what was drawn, its residuals alone tell nothing.
    leverage = each * rows @ held @ rows.mT
    stay = torch.eye(2, dtype=torch.float64) * (1 + 1e-9) - leverage
    residual = torch.linalg.solve(stay, (drawn - rows @ values)[..., None])[..., 0] * each
    return values, ((held @ (rows * residual[..., None]).sum(1).T) ** 2).sum(1).sqrt()


def _sum(mass: dict[int, float], sizes: list[int]) -> float:
    return sum(mass[size] for size in sizes)


def _all_of(players: int, size: int) -> list[torch.Tensor]:
    """All coalitions of a size, and their complements."""
    rows = [
        torch.zeros(players).index_fill_(0, torch.tensor(c), 1) for c in itertools.combinations(range(players), size)
    ]
    return rows if 2 * size == players else [*rows, *(1 - row for row in rows)]


def _random_pairs(players: int, mass: dict[int, float], pairs: int, seed: int) -> torch.Tensor:
    """Coalitions of sizes drawn by their mass, with their complements, `m 2 r`."""
    if not pairs:
        return torch.zeros(0, 2, players)
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor(list(mass))[
        torch.multinomial(torch.tensor(list(mass.values())), pairs, replacement=True, generator=generator)
    ]
    places = torch.rand(pairs, players, generator=generator).argsort(1).argsort(1)
    shown = (places < sizes[:, None]).float()
    return torch.stack([shown, 1 - shown], 1)
