"""Windows whose edges fade: boxes blurred by a Gaussian, so that hiding adds no sharp edge for a network to see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from sightline.passes.masks import MaskSource


@dataclass(frozen=True, eq=False)
class SoftWindows(MaskSource):
    """Boxes under a Gaussian; a side that lies on the picture's border stays sharp.

    Attributes:
        boxes: int64 `n 4` (top, left, bottom, right), ends excluded.
        size: height and width of the picture.
        edge: standard deviation of the Gaussian, in pixels.
    """

    boxes: torch.Tensor
    size: tuple[int, int]
    edge: float

    def __len__(self) -> int:
        return len(self.boxes)

    def make(self, rows: slice) -> torch.Tensor:
        down, across = self._hidden(0)[rows], self._hidden(1)[rows]
        return (1 - down[:, :, None] * across[:, None, :]).float()[:, None, None]

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values `n b` as maps, float32 `b h w`: each pixel's mean, weighted by how much each window hides it."""
        down, across = self._hidden(0), self._hidden(1)
        total = torch.stack([down.T @ (across * one[:, None]) for one in values.double().cpu().T])
        return (total / (down.T @ across).clamp_min(1e-30)).float().to(values.device)

    def _hidden(self, axis: int) -> torch.Tensor:
        """How much each window hides along an axis, float64 `n side`: the integral of the Gaussian over the box."""
        side = self.size[axis]
        first, last = self.boxes[:, axis, None].double(), self.boxes[:, axis + 2, None].double()
        place = torch.arange(side, dtype=torch.float64) + 0.5
        begun = torch.special.erf((place - first) / (math.sqrt(2) * self.edge)).masked_fill(first <= 0, 1.0)
        ended = torch.special.erf((place - last) / (math.sqrt(2) * self.edge)).masked_fill(last >= side, -1.0)
        return (begun - ended) / 2
