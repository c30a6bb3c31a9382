"""Channels as masks: what the network says of a picture seen through one channel of a layer at a time.

The engine of the methods that weight activations by scores (Score-CAM and its kin).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import torch
from torch.nn import functional

from sightline.models.targets import Target
from sightline.passes.masks import MaskSource
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Masks, Perturbation
from sightline.types import Doc, Pixels, Range, Scores

Value = Literal["logit", "probability"]
Read: TypeAlias = Annotated[Value, Doc("the network's own score, or the probability")]
Order: TypeAlias = Annotated[
    Literal["enlarge-first", "normalise-first"], Doc("masks are stretched to 0…1 after they are enlarged, or before")
]
Most: TypeAlias = Annotated[int | None, Range(1, 1 << 20), Doc("only those that vary most; all when left out")]
Weight = Literal["softmax", "change", "score"]


@dataclass(frozen=True, eq=False)
class ChannelMasks(MaskSource):
    """One mask a channel: its activations from 0 to 1, enlarged bilinearly to the picture.

    Attributes:
        activations: `b K h w`.
        size: height and width of the picture.
        order: whether the values are stretched to 0…1 after they are enlarged, or before.
    """

    activations: torch.Tensor
    size: tuple[int, int]
    order: Order = "enlarge-first"

    def __len__(self) -> int:
        return self.activations.shape[1]

    def make(self, rows: slice) -> torch.Tensor:
        some = self.activations[:, rows].transpose(0, 1)
        if self.order == "enlarge-first":
            return unit(enlarged(some, self.size)).unsqueeze(2)
        return enlarged(unit(some), self.size).unsqueeze(2)


@dataclass(frozen=True)
class Reading:
    """What is read of the scores: the network's own score, mostly a logit, or the probability."""

    passes: Passes
    target: Target
    value: Value

    def of(self, scores: Scores) -> torch.Tensor:
        """`b k` → `b` float64, since small differences of it will be taken."""
        scores = scores.double()
        return self.target.score(scores) if self.value == "logit" else self.passes.probability(scores, self.target)


def changes(pixels: Pixels, source: MaskSource, fill: Pixels, reading: Reading) -> tuple[torch.Tensor, torch.Tensor]:
    """What showing the picture through each mask makes of the value with nothing shown: the change `n b`, and the base.

    Costs n + 1 forward passes a picture.
    """
    return changes_from(pixels, Masks(source, fill), fill, reading)


def changes_from(
    pixels: Pixels, versions: Perturbation, fill: Pixels, reading: Reading
) -> tuple[torch.Tensor, torch.Tensor]:
    """What each version of the picture makes of the value with nothing shown: the change `n b`, and the base `b`."""
    shown = reading.passes.perturbed(pixels, versions)
    base = reading.of(reading.passes.scores(fill))
    change = torch.stack([reading.of(scores) for scores in shown]) - base
    return change.float(), base.float()


def weights_of(change: torch.Tensor, base: torch.Tensor, weight: Weight) -> torch.Tensor:
    """Weights of the channels, `b K`, from the change `K b` and the base `b`.

    Where no mask moves the score at all, the weights are zero: equal weights would draw a map of a network that does
    not look at the picture.
    """
    moved = change.abs().amax(0) > 1e-6 * base.abs()
    weights = {"softmax": change.softmax(0), "change": change, "score": change + base}[weight]
    return torch.where(moved, weights, 0.0).T


def strongest(activations: torch.Tensor, channels: int | None) -> torch.Tensor:
    """Of each picture `b K h w` the channels that vary most over the grid, `b n h w`; all where no number is given."""
    if channels is None or channels >= activations.shape[1]:
        return activations
    best = activations.var((2, 3), correction=0).topk(channels, dim=1).indices
    return activations.take_along_dim(best[:, :, None, None], 1)


def enlarged(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`m b h w` → `m b H W`, bilinearly."""
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)


def unit(maps: torch.Tensor) -> torch.Tensor:
    """Maps `… h w` stretched to 0…1, each by itself; 0 where a map is the same everywhere."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return torch.where(high > low, (maps - low) / torch.where(high > low, high - low, 1.0), 0.0)
