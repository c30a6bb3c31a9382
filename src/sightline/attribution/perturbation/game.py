"""One picture as a game of its regions: v(S) is the score of the picture with only the regions of S shown.

What feature ablation, Shapley values, LIME, KernelSHAP, Sobol and HSIC share: they differ in which coalitions S they
ask about and what they make of the answers. Every picture is a game by itself, so that its map does not depend on its
batch mates, and superpixels may differ in number; a game's own coalitions fill the batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import torch

from sightline.attribution.base import Maps
from sightline.attribution.perturbation.sampling import Sampled, as_maps
from sightline.images.fills import Fill
from sightline.images.segments import Regions
from sightline.models.targets import Target
from sightline.passes.masks import MaskSource
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Masks
from sightline.types import Doc, Pixels, Range, Scores

Score: TypeAlias = Annotated[
    Literal["given", "probability"], Doc("what the network gives (mostly a logit), or the probability")
]
Players: TypeAlias = Annotated[Regions, Doc("what is shown or hidden as one")]
Hiding: TypeAlias = Annotated[Fill, Doc("what hides")]
HidingRegions: TypeAlias = Annotated[Fill | None, Doc("what hides; none: each region's own mean colour")]
Until: TypeAlias = Annotated[
    float, Range(0, 1), Doc("stop when the mean standard error is this part of the map's spread; 0: draw all")
]


@dataclass(frozen=True, eq=False)
class Coalitions(MaskSource):
    """Masks from how much of each region is shown.

    Attributes:
        shown: `n r`, from 0 (hidden) to 1 (shown).
        regions: int64 `h w`, from 0 to r − 1.
    """

    shown: torch.Tensor
    regions: torch.Tensor

    def __len__(self) -> int:
        return len(self.shown)

    def make(self, rows: slice) -> torch.Tensor:
        return self.shown[rows].float()[:, self.regions][:, None, None]


@dataclass(frozen=True, eq=False)
class Game:
    """One picture of a batch as a game.

    Attributes:
        pixels: `1 c h w`.
        fill: `1 c h w`, what is shown where a region is hidden.
        regions: int64 `h w`.
        everything: v of all regions, the score of the picture as it is.
    """

    passes: Passes
    pixels: Pixels
    fill: Pixels
    regions: torch.Tensor
    target: Target
    score: str
    everything: float

    @property
    def players(self) -> int:
        """How many regions there are."""
        return int(self.regions.max()) + 1

    def worth(self, shown: torch.Tensor) -> torch.Tensor:
        """v of coalitions `n r`: float64 `n`, on the CPU. Costs n forward passes."""
        if not len(shown):
            return torch.zeros(0, dtype=torch.float64)
        source = Coalitions(shown.to(self.regions.device), self.regions)
        scores = self.passes.perturbed(self.pixels, Masks(source, self.fill))[:, 0]
        return scalar(self.passes, scores, self.target.tiled(len(shown)), self.score)

    def nothing(self) -> float:
        """v of no region. Costs one forward pass."""
        return float(self.worth(torch.zeros(1, self.players)))

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values `r` at the pixels of their regions, float32 `h w`."""
        return values.to(self.regions.device, torch.float32)[self.regions]


def players(passes: Passes, pixels: Pixels, regions: Regions) -> int:
    """How many regions one picture, `1 c h w`, is cut into."""
    return int(regions.make(pixels.to(passes.device), passes.classifier.values).max()) + 1


def games(
    passes: Passes, pixels: Pixels, target: Target, *, regions: Regions, fill: Fill | None, score: str
) -> Iterator[Game]:
    """A game for each picture of a batch.

    Args:
        passes: where the network is asked.
        pixels: `b c h w`.
        target: the score, one a picture.
        regions: the players.
        fill: what hides, or None for the mean colour of each region.
        score: `given` or `probability`.
    """
    given = pixels.to(passes.device)
    clean = scalar(passes, passes.scores(pixels), target, score)
    cut = regions.make(given, passes.classifier.values)
    filled = None if fill is None else fill.make(given, passes.classifier.values)
    for row in range(len(given)):
        one = slice(row, row + 1)
        hidden = own_means(given[row], cut[row])[None] if filled is None else filled[one]
        yield Game(passes, given[one], hidden, cut[row], target.rows(one), score, float(clean[row]))


def play(played: Iterable[Game], estimate: Callable[[Game], Sampled]) -> Maps:
    """The maps of a batch from what is estimated of every game's regions; the regions are in the arrays."""
    found, regions = [], []
    for game in played:
        found.append(estimate(game).spread(game.spread))
        regions.append(game.regions)
    return as_maps(found, regions=regions)


def scalar(passes: Passes, scores: Scores, target: Target, score: str) -> torch.Tensor:
    """The explained number of each row of scores: float64 `n`, on the CPU."""
    of = passes.probability(scores, target) if score == "probability" else target.score(scores)
    return of.double().cpu()


def own_means(picture: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """A picture `c h w` in which every region has its own mean colour."""
    return (sums(picture, regions) / sums(torch.ones_like(picture[:1]), regions)).to(picture)[:, regions]


def sums(values: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """Sums of `c h w` over regions: float64 `c r`."""
    total = values.new_zeros((len(values), int(regions.max()) + 1), dtype=torch.float64)
    return total.index_add_(1, regions.flatten(), values.double().flatten(1))
