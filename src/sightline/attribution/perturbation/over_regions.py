"""The engine of methods that draw coalitions of regions: a method states how it estimates the regions of one game.

What is a region, what hides it, which number is explained, when to stop drawing and from which seed are the same for
all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, final

from sightline.attribution.base import Maps, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.perturbation.by_score import ByScore
from sightline.attribution.perturbation.game import Game, HidingRegions, Players, Score, Until, games, play, players
from sightline.attribution.perturbation.sampling import Sampled
from sightline.images.fills import Mean
from sightline.images.segments import Grid
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range, Seed


@dataclass(frozen=True, kw_only=True)
class OverRegions(ByScore):
    """Drawn coalitions of regions; a subclass states what it makes of them."""

    regions: Players = Grid()
    samples: Annotated[int, Range(1, 1_000_000), Doc("coalitions")] = 100
    fill: HidingRegions = Mean()
    score: Score = "given"
    until: Until = 0.0
    seed: Seed = 0

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """The method's own, but coalitions are drawn."""
        return replace(super().traits, deterministic=False)

    def asks(self, players: int) -> int:
        """How many pictures are asked about at most, where the picture is cut into so many regions."""
        return self.samples

    @abstractmethod
    def estimate(self, game: Game) -> Sampled:
        """The values of the regions of one picture, `r`, and how sure they are."""

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        asked = self.asks(players(passes, pixels, self.regions))
        return Foreseen(forward=asked, at_most=self.until > 0)

    @final
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return play(
            games(passes, pixels, target, regions=self.regions, fill=self.fill, score=self.score), self.estimate
        )
