"""Pictures blended with others through masks, along the way from nothing shown to the whole mask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from sightline.passes.perturbations import Perturbation
from sightline.types import Pixels


@dataclass(frozen=True)
class Term:
    """One of the blends of a picture: which mask, and whether the mask keeps the picture or takes it away."""

    mask: int = 0
    keeps: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Blends(Perturbation):
    """For every term and every point s: other + s·m (pixels − other), or pixels + s·m (other − pixels).

    Versions run term by term, within a term point by point. The noise of a point is drawn from its own seed, and is the
    same for every picture and term.

    Attributes:
        masks: `b k h w`, from 0 to 1, in pixels; may carry a graph.
        other: `b c h w`, what is blended with.
        terms: the blends.
        points: the s of each point.
        noise: `b`, standard deviation of the noise for each picture, or none.
        seed: of the noise.
    """

    masks: torch.Tensor
    other: Pixels
    terms: tuple[Term, ...] = (Term(),)
    points: tuple[float, ...] = (1.0,)
    noise: torch.Tensor | None = None
    seed: int = 0

    def __len__(self) -> int:
        return len(self.terms) * len(self.points)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        return torch.cat([self._version(pixels, version) for version in range(len(self))[rows]])

    def _version(self, pixels: Pixels, version: int) -> Pixels:
        term, point = self.terms[version // len(self.points)], version % len(self.points)
        mask = self.masks[:, term.mask, None] * self.points[point]
        base, shown = (self.other, pixels) if term.keeps else (pixels, self.other)
        blend = base + mask * (shown - base)
        if self.noise is None:
            return blend
        generator = torch.Generator().manual_seed((self.seed + point) % (1 << 63))
        noise = torch.randn(pixels.shape[1:], generator=generator).to(pixels)
        return blend + self.noise[:, None, None, None] * noise


@dataclass(frozen=True, eq=False)
class Moved(Perturbation):
    """Another perturbation's pictures, moved about: padded by copies of their edges, then cut out again.

    Attributes:
        of: what is moved.
        most: by how many pixels it may be moved, on the whole.
        by: how far down and right of `most` the cut begins, each from 0 to `most`.
    """

    of: Perturbation
    most: int
    by: tuple[int, int]

    def __len__(self) -> int:
        return len(self.of)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        height, width = pixels.shape[-2:]
        before, after = self.most // 2, self.most - self.most // 2
        wide = functional.pad(self.of.make(pixels, rows), (before, after, before, after), mode="replicate")
        down, right = self.by
        return wide[..., down : down + height, right : right + width]
