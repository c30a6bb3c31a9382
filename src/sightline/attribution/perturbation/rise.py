"""RISE: the mean of random smooth masks, each weighted by the score of what it shows.

    map = 1 / (N · E[m]) Σ_i p(x ⊙ M_i) M_i                            normalise=expected
    map = Σ_i p(x ⊙ M_i) M_i / Σ_i M_i, pixel by pixel                 normalise=covered (Xplique)
    map = p̄ + 1 / (N · E[m]) Σ_i (p(x ⊙ M_i) − p̄) M_i                  normalise=centred

Petsiuk, Das, Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018, equation 6.
Masks as in the authors' code: `cells` × `cells` cells shown with probability `shown`, enlarged bilinearly (mirrored at
the edges) to one cell more than the picture, and cut out at a random place. All three have the same expectation;
`centred` takes away the masks' own pattern, which the constant part of the score multiplies. Where no mask moves the
score, the map is that expectation. A map has a large constant part: read its differences. Costs N forward passes.

    sightline.explain(model, "dog.jpg", "rise(samples=4000, until=0.02)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.perturbation.game import Hiding, Score, Until, scalar
from sightline.attribution.perturbation.sampling import Estimate, as_maps, draw
from sightline.images.fills import Mean
from sightline.models.targets import Target
from sightline.passes.masks import MaskSource
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Masks
from sightline.types import Doc, Pixels, Range, Seed

_NEVER_MOVED = 1e-6  # of the mean score: float32 scores of one and the same answer differ by less
_AT_ONCE = 64  # masks that are held while their moments are summed


@dataclass(frozen=True, kw_only=True)
class Rise(Method):
    """The mean of random smooth masks, weighted by the score of what they show."""

    samples: Annotated[int, Range(2, 1_000_000), Doc("masks")] = 4000
    cells: Annotated[int, Range(1, 256), Doc("cells of a mask along each side")] = 7
    shown: Annotated[float, Range(0.01, 0.99), Doc("probability that a cell is shown")] = 0.5
    normalise: Annotated[
        Literal["expected", "covered", "centred"], Doc("by N·E[m], by the pixel's own masks, or with p̄ taken away")
    ] = "expected"
    fill: Hiding = Mean()
    score: Score = "probability"
    until: Until = 0.0
    seed: Seed = 0

    traits = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="N F",
        paper="Petsiuk, Das, Saenko, RISE: Randomized Input Sampling for Explanation, BMVC 2018",
        signed=False,
        deterministic=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=self.samples, at_most=self.until > 0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        fill = self.fill.make(given, passes.classifier.values)
        masks = CellMasks.draw(self.samples, self.cells, self.shown, given.shape[-2:], self.seed)
        found = []
        for row in range(len(given)):
            one, moments = slice(row, row + 1), Moments(*given.shape[-2:])

            def more(rows: slice, one: slice = one, moments: Moments = moments) -> Estimate:
                source = masks.some(rows)
                scores = passes.perturbed(given[one], Masks(source, fill[one]))[:, 0]
                moments.add(source, scalar(passes, scores, target.rows(one).tiled(len(source)), self.score))
                return moments.estimate(self.normalise, self.shown)

            found.append(draw(self.samples, self.until, more))
        return as_maps(found)


@dataclass(frozen=True, eq=False)
class CellMasks(MaskSource):
    """Random cells, enlarged and cut out.

    Attributes:
        cells: `n s s`, how much of each cell is shown.
        places: int64 `n 2`, top and left of what is cut out of the enlarged cells, less than a cell.
        size: height and width of the masks.
    """

    cells: torch.Tensor
    places: torch.Tensor
    size: tuple[int, int]

    @classmethod
    def draw(cls, samples: int, cells: int, shown: float, size: torch.Size, seed: int) -> CellMasks:
        """Masks of the authors' generator."""
        generator = torch.Generator().manual_seed(seed)
        grids = (torch.rand(samples, cells, cells, generator=generator) < shown).float()
        tall, wide = (-(-side // cells) for side in size)
        draws = [torch.randint(0, most, (samples,), generator=generator) for most in (tall, wide)]
        return cls(grids, torch.stack(draws, 1), (size[0], size[1]))

    def __len__(self) -> int:
        return len(self.cells)

    def some(self, rows: slice) -> CellMasks:
        """Some of the masks."""
        return CellMasks(self.cells[rows], self.places[rows], self.size)

    def make(self, rows: slice) -> torch.Tensor:
        down, across = (self._axis(axis, rows) for axis in (0, 1))
        return (down @ self.cells[rows] @ across.mT)[:, None, None]

    def _axis(self, axis: int, rows: slice) -> torch.Tensor:
        """The cut-out rows of the enlargement along an axis, as matrices `m side s`."""
        side, count = self.size[axis], self.cells.shape[-1]
        matrix = enlargement(count, (count + 1) * -(-side // count))
        return matrix[self.places[rows, axis, None] + torch.arange(side)]


def enlargement(count: int, side: int) -> torch.Tensor:
    """Bilinear enlargement of an axis as a matrix `side count`, mirrored at the first and the last value."""
    place = (torch.arange(side, dtype=torch.float64) + 0.5) * count / side - 0.5
    left = place.floor()
    matrix = torch.zeros(side, count, dtype=torch.float64)
    for index, weight in ((left, 1 - (place - left)), (left + 1, place - left)):
        inside = (count - 1 - (count - 1 - index.long().abs()).abs()).clamp(0, count - 1)
        matrix.scatter_add_(1, inside[:, None], weight[:, None])
    return matrix.float()


class Moments:
    """Running sums over masks M and scores p, from which the map and its standard error follow."""

    def __init__(self, height: int, width: int) -> None:
        self.size = (height, width)
        self.count = 0
        self.p = torch.zeros(2, dtype=torch.float64)
        self.first = torch.zeros(2, height * width, dtype=torch.float64)
        self.second = torch.zeros(3, height * width, dtype=torch.float64)
        self.range = (float("inf"), float("-inf"))

    def add(self, source: MaskSource, p: torch.Tensor) -> None:
        """Take in masks and their scores, float64 `m`."""
        self.count += len(p)
        self.p += torch.stack([p.sum(), (p**2).sum()])
        self.range = (min(self.range[0], float(p.min())), max(self.range[1], float(p.max())))
        for start in range(0, len(p), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            masks, some = source.make(rows).flatten(1).double(), p[rows]
            self.first += torch.stack([torch.ones_like(some), some]) @ masks
            self.second += torch.stack([torch.ones_like(some), some, some**2]) @ masks**2

    def estimate(self, normalise: str, shown: float) -> Estimate:
        """The map and its standard error, `h w`."""
        n, mean = self.count, float(self.p[0] / self.count)
        (masks, weighted), (m2, pm2, p2m2) = self.first / n, self.second / n
        if normalise == "covered":
            # A ratio of means: its error is that of the residuals (p − map) M, over the mean of M.
            values = weighted / masks.clamp_min(1e-12)
            variance = (p2m2 - 2 * values * pm2 + values**2 * m2) / masks.clamp_min(1e-12) ** 2
        elif normalise == "centred":
            values = mean + (weighted - mean * masks) / shown
            variance = (p2m2 - 2 * mean * pm2 + mean**2 * m2 - (weighted - mean * masks) ** 2) / shown**2
        else:
            values, variance = weighted / shown, (p2m2 - weighted**2) / shown**2
        if self.range[1] - self.range[0] <= _NEVER_MOVED * max(map(abs, self.range)):
            values, variance = torch.full_like(values, mean), torch.zeros_like(values)
        error = (variance.clamp_min(0) / max(n - 1, 1)).sqrt()
        return values.unflatten(0, self.size), error.unflatten(0, self.size)
