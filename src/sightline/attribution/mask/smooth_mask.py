"""Masks that cannot be rough: coarse parameters under a smooth maximum of shifted bumps (extremal perturbations).

    m(u) = Σ_i w_i(u) softmax_i(T w_i(u)),   w_i(u) = k(|u − u_i| / σ) p_i,   k(z) = exp(−2 max(0, z − ½)²),   T = 20

u_i lie `step` pixels apart. Fong, Patrick, Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth
Masks", ICCV 2019, equation 5; the mask has a margin of σ pixels around the picture, where it falls to nothing, as in
the authors' code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from sightline.attribution.mask.smooth_maximum import smooth_maximum

COLDNESS = 20.0
"""T, the inverse temperature of the smooth maximum."""


@dataclass(frozen=True)
class SmoothMask:
    """From parameters to masks for one size of picture.

    Attributes:
        height, width: of the picture.
        step: pixels between the parameters.
        sigma: width of a bump in pixels.
    """

    height: int
    width: int
    step: int
    sigma: float

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of parameters."""
        return math.ceil(self.height / self.step), math.ceil(self.width / self.step)

    def make(self, parameters: torch.Tensor) -> torch.Tensor:
        """`n h w` parameters from 0 to 1 → `n H W` masks with their margin; `inside` cuts it off.

        Every block of step × step pixels sees the same neighbouring parameters.
        """
        first, padding = self._layout()
        seen = functional.pad(parameters, padding)
        for axis in (1, 2):
            seen = seen.unfold(axis, 2 * self._reach + 1, 1)
        blocks = seen.shape[1:3]
        within = smooth_maximum(seen.flatten(3).flatten(0, 2), self._bumps().to(parameters), COLDNESS)
        tiles = within.unflatten(0, (-1, *blocks)).unflatten(3, (self.step, self.step))
        whole = tiles.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, first:, first:]
        return whole[:, : self.height + 2 * self._margin, : self.width + 2 * self._margin]

    def inside(self, masks: torch.Tensor) -> torch.Tensor:
        """The masks without their margin: `n height width`."""
        return masks[:, self._margin : self._margin + self.height, self._margin : self._margin + self.width]

    @property
    def _margin(self) -> int:
        return round(self.sigma)

    @property
    def _reach(self) -> int:
        """How many parameters away, on each side, a bump still counts."""
        return 1 + math.ceil(self.sigma / self.step)

    def _layout(self) -> tuple[int, list[int]]:
        """Where in its block the first pixel of the margin lies, and the padding of the parameters (as for `pad`)."""
        outside = math.ceil(self._margin / self.step)  # blocks of margin on each side
        first = outside * self.step - self._margin
        padding: list[int] = []
        for side, size in zip((self.width, self.height), reversed(self.grid), strict=True):
            blocks = math.ceil((first + side + 2 * self._margin) / self.step)
            padding += [self._reach + outside, blocks + self._reach - outside - size]
        return first, padding

    def _bumps(self) -> torch.Tensor:
        """k(distance / σ) from each parameter around a block to each pixel of it: `around² step²`."""
        within = torch.arange(self.step, dtype=torch.float32)
        places = torch.arange(-self._reach, self._reach + 1, dtype=torch.float32) * self.step
        apart = within[:, None] - places
        distance = (apart[:, None, :, None] ** 2 + apart[None, :, None, :] ** 2).sqrt().flatten(2).flatten(0, 1)
        return torch.exp(-2 * (distance / self.sigma - 0.5).clamp_min(0) ** 2).T.contiguous()
