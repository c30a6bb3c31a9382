"""Networks whose evidence is known to the pixel: red speaks for class 0 and blue for class 1, wherever it lies.

Their weights are written down, not trained, so that a map can be wrong for one reason only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

_STRENGTH = 40.0
_COLOURS = torch.tensor([[1.5, -0.5, -0.5], [-0.5, -0.5, 1.5]])
_THRESHOLD = -0.5


class Evidence(nn.Module):
    """A filter for red and one for blue, ReLU, average, linear; for any size of input.

    Where `one_place`, the largest value in place of the average: one place decides, and all others do nothing.
    """

    def __init__(self, sign: float = 1.0, *, one_place: bool = False) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 2, 3, 2, 1, padding_mode="replicate"), nn.ReLU()
        self.pool = nn.AdaptiveMaxPool2d(1) if one_place else nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(2, 2)
        with torch.no_grad():
            self.conv.weight.copy_(_COLOURS[:, :, None, None].expand(-1, -1, 3, 3) / 9)
            self.conv.bias = nn.Parameter(torch.full((2,), _THRESHOLD))
            self.linear.weight.copy_(sign * _STRENGTH * torch.eye(2))
            self.linear.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.linear(self.pool(self.relu(self.conv(x))).flatten(1))
        return scores


class Stream(nn.Module):
    """A place on the stream of tokens."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 1


class Gather(nn.Module):
    """An attention that only the first token uses: it becomes the mean of the cells."""

    def __init__(self, prefix: int) -> None:
        super().__init__()
        self.prefix = prefix

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, self.prefix :].mean(1, keepdim=True), x[:, 1:]], dim=1)


class EvidenceTokens(nn.Module):
    """The same evidence as tokens of 4 × 4 pixels behind `prefix` other tokens, read at the first."""

    def __init__(self, prefix: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.patch_embed, self.relu = nn.Conv2d(3, 2, 4, stride=4), nn.ReLU()
        self.stream, self.gather, self.head = Stream(), Gather(prefix), nn.Linear(2, 2)
        with torch.no_grad():
            self.patch_embed.weight.copy_(_COLOURS[:, :, None, None].expand(-1, -1, 4, 4) / 16)
            self.patch_embed.bias = nn.Parameter(torch.full((2,), _THRESHOLD))
            self.head.weight.copy_(_STRENGTH * torch.eye(2))
            self.head.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.patch_embed(x)).flatten(2).transpose(1, 2)
        x = torch.cat([torch.zeros(len(x), self.prefix, 2, device=x.device, dtype=x.dtype), x], dim=1)
        scores: torch.Tensor = self.head(self.gather(self.stream(x))[:, 0])
        return scores


@dataclass(frozen=True)
class Planted:
    """A grey, noisy picture with one red and one blue patch.

    Attributes:
        pixels: `1 3 h w` from 0 to 1.
        red: row and column of the middle of the red patch.
        blue: of the blue patch.
        side: of the patches.
    """

    pixels: torch.Tensor
    red: tuple[int, int]
    blue: tuple[int, int]
    side: int

    @classmethod
    def in_picture(cls, height: int, width: int) -> Planted:
        """Patches a sixth as wide as the picture, off its middle: red at the upper right, blue at the lower left."""
        side = min(width, max(6, max(height, width) // 6))
        pixels = 0.3 + 0.2 * torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height * width))
        red, blue = (height // 5, 7 * width // 9), (4 * height // 5, width // 8)
        for (row, column), colour in ((red, 0), (blue, 2)):
            top, left = max(0, row - side // 2), max(0, column - side // 2)
            pixels[:, :, top : top + side, left : left + side] = 0.0
            pixels[:, colour, top : top + side, left : left + side] = 1.0
        return cls(pixels, red, blue, side)

    def finds(self, map: torch.Tensor, place: tuple[int, int]) -> bool:
        """Whether the peak of a map `h w` lies at this place, to a patch."""
        row, column = peak_of(map)
        return abs(row - place[0]) <= self.side and abs(column - place[1]) <= self.side


def peak_of(map: torch.Tensor) -> tuple[float, float]:
    """Row and column of the peak; of its middle, where several neighbours share the largest value."""
    highest = map >= map.max() - 1e-6 * map.abs().max()
    row, column = highest.nonzero().float().mean(0).tolist()
    return row, column
