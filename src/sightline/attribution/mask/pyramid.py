"""A picture under weaker and weaker weakening, and the pictures that masks read from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.images.fills import Blur, Mean
from sightline.images.values import ValueRange
from sightline.passes.perturbations import Perturbation
from sightline.types import Pixels


def blurred(pixels: Pixels, values: ValueRange, levels: int, most: float) -> torch.Tensor:
    """`levels b c h w`: blurs of σ = `most` pixels, less and less, and the picture itself."""
    sigmas = [most * (1 - level / (levels - 1)) for level in range(levels - 1)]
    return torch.stack([*(Blur(sigma=max(0.1, sigma)).make(pixels, values) for sigma in sigmas), pixels])


def faded(pixels: Pixels, values: ValueRange, levels: int) -> torch.Tensor:
    """`levels b c h w`: from the mean colour in equal steps to the picture itself."""
    mean = Mean().make(pixels, values)
    return torch.stack([mean + level / (levels - 1) * (pixels - mean) for level in range(levels)])


@dataclass(frozen=True, eq=False)
class Seen(Perturbation):
    """What each mask leaves of a picture, and then, where asked for, what it takes away.

    A mask of 1 reads the last level of the pyramid, 0 the first, values between from the two levels next to them.

    Attributes:
        masks: `b k h w`, from 0 to 1; may carry a graph.
        pyramid: `levels b c h w`.
        versions: for each, which mask, and whether it keeps or takes away.
        mirrored: whether left and right are exchanged.
    """

    masks: torch.Tensor
    pyramid: torch.Tensor
    versions: tuple[tuple[int, bool], ...]
    mirrored: bool = False

    def __len__(self) -> int:
        return len(self.versions)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        batch = torch.cat([self._version(mask, keeps) for mask, keeps in self.versions[rows]])
        return batch.flip(-1) if self.mirrored else batch

    def _version(self, mask: int, keeps: bool) -> Pixels:
        shown = self.masks[:, mask, None] if keeps else 1 - self.masks[:, mask, None]
        place = shown * (len(self.pyramid) - 1)
        # At a level itself the slope is that to the next one, as in the authors' code, and 0 at the last.
        below = place.detach().long()
        weaker, stronger = (self._at(below + above) for above in (0, 1))
        return weaker + (place - below).to(weaker.dtype) * (stronger - weaker)

    def _at(self, levels: torch.Tensor) -> Pixels:
        """Of every pixel its level, `b 1 h w`: `b c h w`."""
        wanted = levels.clamp(max=len(self.pyramid) - 1).expand_as(self.pyramid[0])
        return self.pyramid.gather(0, wanted[None])[0]
