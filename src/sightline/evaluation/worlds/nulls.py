"""Contestants that know nothing: what a score is worth is told by what these get.

They are methods, so that they run on the same road as all others, but no way to explain: they are in no table.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Pixels, Seed


def _traits(deterministic: bool) -> Traits:
    return Traits(
        family="null",
        needs=Needs.SCORES,
        cost="none",
        paper="none: what knowing nothing scores",
        signed=False,
        deterministic=deterministic,
        class_sensitive=False,
        finds=False,
        linear=False,
    )


@dataclass(frozen=True, kw_only=True)
class RandomMap(Method):
    """Every pixel's value drawn evenly from 0 to 1; another picture or target gives another map."""

    seed: Seed = 0

    traits = _traits(deterministic=False)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        rows = [self._one(picture, target.rows(slice(row, row + 1))) for row, picture in enumerate(pixels)]
        return Maps(values=torch.stack(rows))

    def _one(self, picture: torch.Tensor, target: Target) -> torch.Tensor:
        """Seeded by the picture and its target, so that the map does not depend on its batch mates."""
        words = f"{self.seed} {target.index.tolist()}".encode()
        own = zlib.crc32(picture.float().cpu().numpy().tobytes() + words)  # 32 bits: torch looks at no more of a seed
        generator = torch.Generator().manual_seed(own)
        return torch.rand((1, *picture.shape[1:]), generator=generator)


@dataclass(frozen=True, kw_only=True)
class CentreMap(Method):
    """A bump in the middle: a Gaussian with a standard deviation of a quarter of each side."""

    traits = _traits(deterministic=True)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        down, across = (torch.linspace(-2, 2, side) for side in pixels.shape[2:])
        bump = torch.exp(-0.5 * (down[:, None] ** 2 + across[None, :] ** 2))
        return Maps(values=bump.expand(len(pixels), 1, -1, -1).clone())


NULLS: tuple[Method, ...] = (RandomMap(), CentreMap())
