"""Perturbed pictures as descriptions: what is hidden, mixed or moved, made only when a batch is run.

A method hands a description to `Passes`, which makes and runs as many perturbed pictures at a time as memory allows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from sightline.images.fills import blurred
from sightline.passes.masks import MaskSource
from sightline.types import Pixels


class Perturbation(ABC):
    """n perturbed versions of every picture of a batch."""

    @abstractmethod
    def __len__(self) -> int:
        """How many versions there are of each picture."""

    @abstractmethod
    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        """Some versions of all pictures: `(m b) c h w`, version by version, within a version picture by picture."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """What passes over neighbouring versions gave.

    Attributes:
        rows: which versions.
        versions: `m b c h w`, the pictures that were asked about.
        scores: `m b`, of the target.
        gradients: `m b c h w` float32, ∂score/∂version.
    """

    rows: slice
    versions: Pixels
    scores: torch.Tensor
    gradients: torch.Tensor


@dataclass(frozen=True, eq=False)
class Windows(Perturbation):
    """Rectangles hidden one at a time.

    Attributes:
        boxes: `n 4` integers (top, left, bottom, right), ends excluded.
        fill: `b c h w`, what is shown inside the box.
    """

    boxes: torch.Tensor
    fill: Pixels

    def __len__(self) -> int:
        return len(self.boxes)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        boxes = self.boxes[rows].tolist()
        batch = pixels.unsqueeze(0).repeat(len(boxes), 1, 1, 1, 1)
        for version, (top, left, bottom, right) in enumerate(boxes):
            batch[version, ..., top:bottom, left:right] = self.fill[..., top:bottom, left:right]
        return batch.flatten(0, 1)


@dataclass(frozen=True, eq=False)
class Path(Perturbation):
    """Points on the straight way from one picture to another: start + α (end − start).

    The end is the picture handed to `make`.

    Attributes:
        start: `b c h w`, where the way starts.
        points: `n`, the α of each point.
    """

    start: Pixels
    points: torch.Tensor

    def __len__(self) -> int:
        return len(self.points)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        alpha = self.points[rows].to(pixels)[:, None, None, None, None]
        return (self.start + alpha * (pixels - self.start)).flatten(0, 1)


@dataclass(frozen=True, eq=False)
class Blurs(Perturbation):
    """The picture more and less blurred.

    Attributes:
        sigmas: standard deviation of the Gaussian of each version, in pixels.
    """

    sigmas: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.sigmas)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        return torch.cat([blurred(pixels, sigma) for sigma in self.sigmas[rows]])


@dataclass(frozen=True, eq=False)
class Ranked(Perturbation):
    """Pixels exchanged in an order, more of them in every version: how deletion and insertion ask.

    Attributes:
        rank: `b h w` int64, the place of each pixel in the order, from 0.
        counts: `n` int64, how many pixels are exchanged in each version.
        other: `b c h w`, what the exchanged pixels show.
    """

    rank: torch.Tensor
    counts: torch.Tensor
    other: Pixels

    def __len__(self) -> int:
        return len(self.counts)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        counts = self.counts[rows].to(self.rank.device)[:, None, None, None, None]
        exchanged = self.rank[None, :, None] < counts
        return torch.where(exchanged, self.other[None], pixels[None]).flatten(0, 1)


@dataclass(frozen=True, eq=False)
class Masks(Perturbation):
    """Pictures seen through masks: pixels · m + fill · (1 − m).

    Attributes:
        source: the masks, made when a batch is run.
        fill: `b c h w`, what is shown where a mask is 0.
    """

    source: MaskSource
    fill: Pixels

    def __len__(self) -> int:
        return len(self.source)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        masks = self.source.make(rows).to(pixels)
        return (self.fill + masks * (pixels - self.fill)).flatten(0, 1)
