"""Changes of a picture whose effect a map foretells, drawn at random: what infidelity asks about.

A change is I, and the network is shown x − I. The map foretells Iᵀ·map: for noise the sum of I · map over the pixels
and channels, for squares, where I is 1 inside, the sum of the map over the square.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.passes.perturbations import Perturbation
from sightline.types import Pixels


@dataclass(frozen=True, eq=False)
class Noise(Perturbation):
    """Versions with noise drawn anew for each, the same however many are run at once.

    Attributes:
        samples: how many versions.
        sigma: standard deviation of the noise, as a part of the range.
        low, span: `1 c 1 1`, the low end of the range and its length.
        seed: of the draws.
    """

    samples: int
    sigma: float
    low: torch.Tensor
    span: torch.Tensor
    seed: int

    def __len__(self) -> int:
        return self.samples

    @abstractmethod
    def shown(self, pixels: Pixels, noise: torch.Tensor) -> Pixels:
        """x − I, `m c h w`, from a picture `1 c h w` and standard normal noise `m c h w`."""

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        drawn = [
            np.random.default_rng([self.seed, place]).standard_normal(pixels.shape[1:], np.float32)
            for place in range(*rows.indices(len(self)))
        ]
        return self.shown(pixels, torch.from_numpy(np.stack(drawn)).to(pixels))

    def sums(self, pixels: Pixels, map: NDArray[np.float32]) -> NDArray[np.float64]:
        """Iᵀ·map of every version, `n` float64."""
        weights = torch.from_numpy(map).to(pixels.device).double()
        found = []
        for place in range(len(self)):
            change = (pixels - self.make(pixels, slice(place, place + 1))).double().sum((0, 1))
            found.append(float((change * weights).sum()))
        return np.array(found)


class Added(Noise):
    """I is the noise itself."""

    def shown(self, pixels: Pixels, noise: torch.Tensor) -> Pixels:
        return pixels - self.sigma * self.span * noise


class NoisyBaseline(Noise):
    """x − I is black plus noise, cut to the range: nothing of the picture is left."""

    def shown(self, pixels: Pixels, noise: torch.Tensor) -> Pixels:
        return self.low + self.span * (self.sigma * noise).clamp(0, 1)


def squares(height: int, width: int, samples: int, sides: tuple[float, float], seed: int) -> torch.Tensor:
    """Random squares as boxes `n 4` (top, left, bottom, right).

    Sides are drawn evenly between two shares of the shorter side of the picture (at least one pixel), then places.
    """
    chance, shorter = np.random.default_rng(seed), min(height, width)
    least, most = (min(shorter, max(1, round(share * shorter))) for share in sides)
    side = chance.integers(least, most, samples, endpoint=True)
    top, left = chance.integers(0, height - side, endpoint=True), chance.integers(0, width - side, endpoint=True)
    return torch.from_numpy(np.stack([top, left, top + side, left + side], 1))


def box_sums(map: NDArray[np.float32], boxes: torch.Tensor) -> NDArray[np.float64]:
    """The sum of a map over each box, `n` float64."""
    table = np.zeros((map.shape[0] + 1, map.shape[1] + 1))
    table[1:, 1:] = map.astype(np.float64).cumsum(0).cumsum(1)
    top, left, bottom, right = boxes.numpy().T
    return np.asarray(table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left])
