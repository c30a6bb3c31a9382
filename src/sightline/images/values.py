"""The range of values that a network's input can take, in the network's own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sightline.errors import UsageError

FAINT = 0.03
"""A contrast of black and white below this, or below this part of their distance from 0, shows hardly anything."""


@dataclass(frozen=True, eq=False)
class ValueRange:
    """The lowest and highest value of a picture, channel by channel, after normalisation.

    `low`, `high` and `mean` are float32 tensors of c values (or of one value for any number of channels): black, white,
    and the normalisation's mean colour, which is 0 in the network's units. Where a network has no mean colour (no
    normalisation, or mean 0), `mean` is the middle of the range.
    """

    low: torch.Tensor
    high: torch.Tensor
    mean: torch.Tensor

    @classmethod
    def unit(cls) -> ValueRange:
        """0…1 in every channel, whatever their number: for networks without a preparation."""
        return cls(torch.zeros(1), torch.ones(1), torch.full((1,), 0.5))

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float], brightest: float = 1.0) -> ValueRange:
        """The range of (value − mean) / std for values 0…`brightest`."""
        middle, spread = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        low, high = -middle / spread, (brightest - middle) / spread
        centre = torch.zeros_like(low) if bool(middle.any()) else (low + high) / 2
        return cls(low.float(), high.float(), centre.float())

    @property
    def faint(self) -> bool:
        """Whether black and white are nearly the same to the network, so that it is shown hardly any picture."""
        contrast = (self.high - self.low).abs()
        far = torch.maximum(self.low.abs(), self.high.abs())
        return bool(((contrast < FAINT * far) | (contrast < FAINT)).all())

    def like(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`low`, `high` and `mean` as `1 c 1 1` (or `1 1 1 1`) with the type and the device of `pixels`.

        Raises:
            UsageError: the pixels have another number of channels.
        """
        if pixels.ndim != 4:
            raise UsageError(f"pixels are b c h w, got a shape of {pixels.ndim} axes: {tuple(pixels.shape)}")
        if len(self.low) not in (1, pixels.shape[1]):
            raise UsageError(f"the value range has {len(self.low)} channels, the pixels have {pixels.shape[1]}")
        low, high, mean = (
            value.to(pixels.device, pixels.dtype).reshape(1, -1, 1, 1) for value in (self.low, self.high, self.mean)
        )
        return low, high, mean
