"""Shapley value sampling: what a region adds, on average over all orders in which regions may appear.

    a(region) = mean over permutations π of v(those before it in π and the region) − v(those before it in π)

Castro, Gómez, Tejada, "Polynomial calculation of the Shapley value based on sampling", Computers & Operations Research
36(5), 2009; Štrumbelj, Kononenko, JMLR 11, 2010. Guarantees: the regions' values sum to v(all) − v(none), for every
permutation and so for every number of them. Every pixel of a region has the region's value. The standard error is that
of a mean over permutations. Costs r − 1 forward passes a permutation of r regions, and two.

    sightline.explain(model, "dog.jpg", "shapley-sampling(regions=slic(segments=30), samples=25)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.base import Needs, Traits
from sightline.attribution.perturbation.game import Game
from sightline.attribution.perturbation.over_regions import OverRegions
from sightline.attribution.perturbation.sampling import Estimate, Sampled, draw
from sightline.types import Doc, Range

_STEP = 4  # permutations between two looks at the error


@dataclass(frozen=True, kw_only=True)
class ShapleySampling(OverRegions):
    """What a region adds to those that are there, over random orders."""

    samples: Annotated[int, Range(2, 1_000_000), Doc("permutations")] = 25

    own = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="n (r − 1) F + 2 F",
        paper="Castro, Gómez, Tejada, Polynomial calculation of the Shapley value based on sampling, 2009",
    )

    def asks(self, players: int) -> int:
        return 1 + self.samples * (players - 1)

    def estimate(self, game: Game) -> Sampled:
        generator, nothing = torch.Generator().manual_seed(self.seed), game.nothing()
        gains: list[torch.Tensor] = []

        def more(rows: slice) -> Estimate:
            orders = [torch.randperm(game.players, generator=generator) for _ in range(rows.start, rows.stop)]
            gains.extend(gains_of(game, torch.stack(orders), nothing))
            every = torch.stack(gains)
            return every.mean(0), every.std(0) / len(every) ** 0.5

        return draw(self.samples, self.until, more, step=_STEP)


def gains_of(game: Game, orders: torch.Tensor, nothing: float) -> torch.Tensor:
    """What each region adds in each order: orders `n r` → float64 `n r`. Costs n (r − 1) forward passes."""
    count, players = orders.shape
    place = orders.argsort(1)  # of each region in the order
    steps = torch.arange(1, players)
    shown = (place[:, None, :] < steps[None, :, None]).float()
    inner = game.worth(shown.flatten(0, 1)).unflatten(0, (count, players - 1)) if players > 1 else None
    ends = torch.tensor([nothing, game.everything], dtype=torch.float64).expand(count, 2)
    path = torch.cat([ends[:, :1], *([inner] if inner is not None else []), ends[:, 1:]], 1)
    return path.diff(dim=1).gather(1, place)
