"""Concepts as directions in a layer, and what the network makes of activations that are built from them.

    activations(cell) ≈ floor + Σ_r strength_r(cell) · direction_r

The floor is 0 where activations are never negative. Elsewhere (transformers, GELU) it is each channel's minimum, which
is taken off before the factorisation, as pytorch-grad-cam does, and put back before the network is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.attribution.concepts.factors import strengths_at
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.passes.versions import Versions
from sightline.types import Pixels, Scores


@dataclass(frozen=True, eq=False, kw_only=True)
class Crops:
    """The parts of pictures that concepts were learnt from.

    Attributes:
        pictures: `m` int64, the picture of each crop.
        boxes: `m 4` int64 (top, left, bottom, right), in the frame of the network's input.
        strengths: `m r` float32, of each concept in each crop.
    """

    pictures: torch.Tensor
    boxes: torch.Tensor
    strengths: torch.Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Bank:
    """What was learnt of some pictures at one layer.

    Attributes:
        directions: `r K` float32, each of length 1; those that hold most of the activations come first.
        floor: `K` float32, ≤ 0 unless asked otherwise.
        strengths: `b r h w` float32, of each concept at each cell of each picture.
        crops: what it was learnt from, where that is not the cells themselves.
    """

    directions: torch.Tensor
    floor: torch.Tensor
    strengths: torch.Tensor
    crops: Crops | None = None

    def strengths_in(self, activations: torch.Tensor) -> torch.Tensor:
        """How strong the concepts are at the cells of other activations: `b K h w` → `b r h w`."""
        return grid_of(strengths_at(cells_of(activations) - self.floor.double(), self.directions), activations)


def floor_of(*activations: torch.Tensor) -> torch.Tensor:
    """Each channel's minimum where it is negative, else 0: `b K …` each → `K`."""
    lowest = torch.stack([some.transpose(0, 1).flatten(1).amin(1) for some in activations]).amin(0)
    return lowest.clamp(max=0)


def cells_of(activations: torch.Tensor) -> torch.Tensor:
    """Cells as rows, picture by picture: `b K h w` → `(b h w) K` float64."""
    return activations.permute(0, 2, 3, 1).flatten(0, 2).double()


def grid_of(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The way back from cells: `(b h w) r` → `b r h w` float32, on the grid of `like`."""
    return rows.unflatten(0, (len(like), *like.shape[2:])).permute(0, 3, 1, 2).float()


@dataclass(frozen=True, eq=False)
class Without(Versions):
    """A layer as it is, and then without each concept in turn; what the concepts do not explain stays."""

    bank: Bank
    strengths: torch.Tensor

    def __len__(self) -> int:
        return 1 + len(self.strengths)

    def make(self, activations: torch.Tensor, rows: slice) -> torch.Tensor:
        none = torch.zeros_like(self.strengths[:1]), torch.zeros_like(self.bank.directions[:1])
        strengths = torch.cat([none[0], self.strengths])[rows]
        directions = torch.cat([none[1], self.bank.directions])[rows]
        return activations - strengths[:, None] * directions[:, :, None, None]


@dataclass(frozen=True, eq=False)
class Alone(Versions):
    """One concept in every cell, as strong as it is anywhere in the picture, and nothing else."""

    bank: Bank
    strengths: torch.Tensor

    def __len__(self) -> int:
        return len(self.strengths)

    def make(self, activations: torch.Tensor, rows: slice) -> torch.Tensor:
        strongest = self.strengths[rows].flatten(1).amax(1)
        vectors = self.bank.floor + strongest[:, None] * self.bank.directions[rows]
        return vectors[:, :, None, None].expand(-1, -1, *activations.shape[1:])


@dataclass(frozen=True, eq=False)
class Weighed(Versions):
    """Activations built from the concepts alone, each at all its places made weaker by a factor of its own.

    Attributes:
        factors: `n r`, one row a version.
    """

    bank: Bank
    strengths: torch.Tensor
    factors: torch.Tensor

    def __len__(self) -> int:
        return len(self.factors)

    def make(self, activations: torch.Tensor, rows: slice) -> torch.Tensor:
        weighed = self.factors[rows].to(self.strengths)[:, :, None, None] * self.strengths
        return torch.einsum("nrhw,rk->nkhw", weighed, self.bank.directions) + self.bank.floor[:, None, None]


def effects_of(passes: Passes, pixels: Pixels, view: LayerView, target: Target, versions: Without) -> torch.Tensor:
    """score(A) − score(A without concept r) of one picture, `r`."""
    scores = passes.after(pixels, view, versions)[:, 0]
    each = target.tiled(len(scores)).score(scores)
    return each[0] - each[1:]


def scores_alone(passes: Passes, pixels: Pixels, view: LayerView, versions: Alone) -> Scores:
    """What the network says to each concept alone, `r k`."""
    return passes.after(pixels, view, versions)[:, 0]


def spread(effects: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    """Each concept's effect laid on the cells where it is, in proportion to its strength: `r`, `r h w` → `h w`.

    The sum over the cells is the sum of the effects of the concepts that occur.
    """
    total = strengths.sum((1, 2), keepdim=True)
    shares = strengths / torch.where(total == 0, 1.0, total)
    return (effects[:, None, None] * shares).sum(0)
