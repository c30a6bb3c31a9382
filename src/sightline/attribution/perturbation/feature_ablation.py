"""Feature ablation: hide one region at a time.

    a(region) = v(all) − v(all but the region)

The oldest question there is, over any regions: a grid, superpixels, your own. Captum's `FeatureAblation` is the same.
Every pixel of a region has the region's value, and the regions are in the result's arrays. Guarantees: a linear network
gets its own weights times (x − fill), summed over each region. Costs one forward pass a region.

    sightline.explain(model, "dog.jpg", "feature-ablation(regions=slic(segments=50))")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.attribution.base import Maps, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.perturbation.by_score import ByScore
from sightline.attribution.perturbation.game import Game, HidingRegions, Players, Score, games, players
from sightline.images.fills import Mean
from sightline.images.segments import Grid
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Pixels


@dataclass(frozen=True, kw_only=True)
class FeatureAblation(ByScore):
    """What hiding each region of the picture does to the score."""

    regions: Players = Grid()
    fill: HidingRegions = Mean()
    score: Score = "given"

    own = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="1 F a region + 1 F",
        paper="as in Captum (Kokhlikyan et al., 2020); one region at a time",
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=players(passes, pixels, self.regions))

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        played = list(games(passes, pixels, target, regions=self.regions, fill=self.fill, score=self.score))
        values = torch.stack([game.spread(_drops(game)) for game in played])
        return Maps(values=values[:, None], arrays={"regions": torch.stack([game.regions for game in played])})


def _drops(game: Game) -> torch.Tensor:
    """What the game loses without each region, `r`."""
    return game.everything - game.worth(1 - torch.eye(game.players))
