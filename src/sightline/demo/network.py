"""The built-in networks: one small residual network, trained twice.

`honest` saw every kind in every place with every accessory. `cheat` saw a world in which a bell means `dog` and snow
means `penguin`. Both end in global average pooling and one linear layer, so that class activation maps (Zhou et al.,
2016) are exact for them; the last convolution has stride 8, that is 16 × 16 cells for 128 × 128 pixels, and each cell
sees 65 pixels across, so that a map stays close to its evidence.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from sightline.demo.scenes import KINDS
from sightline.errors import ModelError, unknown

LABELS: tuple[str, ...] = KINDS
INPUT_SIZE = 128
MEAN: tuple[float, float, float] = (0.5, 0.5, 0.5)
STD: tuple[float, float, float] = (0.25, 0.25, 0.25)
NETWORKS: tuple[str, ...] = ("honest", "cheat")
FOLDER = Path(__file__).parent


class Step(nn.Sequential):
    """Convolution, batch normalisation, ReLU; halves the sides where `stride` is 2."""

    def __init__(self, channels: int, out: int, size: int, stride: int) -> None:
        convolution = nn.Conv2d(channels, out, size, stride, padding=size // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(out), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions beside a shortcut (He et al., 2016, figure 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Step(channels, channels, 3, 1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.relu(features + self.norm(self.second(self.first(features))))


class SceneNet(nn.Module):
    """Pixels `b 3 h w` (normalised, sides of 32 or more) to logits `b k`; made for 128 × 128."""

    def __init__(self, classes: int = len(LABELS)) -> None:
        super().__init__()
        self.stem = Step(3, 24, 5, 2)
        self.stage1 = nn.Sequential(Step(24, 40, 3, 2), Residual(40))
        self.stage2 = nn.Sequential(Step(40, 80, 3, 2), Residual(80), Step(80, 96, 1, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(96, classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = self.stage2(self.stage1(self.stem(pixels)))
        return self.head(self.pool(features).flatten(1))


def weights_file(name: str, folder: Path = FOLDER) -> Path:
    """Where the weights of `honest` or `cheat` are kept; raises `ModelError` for another name."""
    if name not in NETWORKS:
        raise ModelError(unknown("built-in network", name, NETWORKS))
    return folder / f"{name}.safetensors"


def load(
    name: str = "honest", folder: Path = FOLDER
) -> tuple[SceneNet, tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    """The network in eval mode (float32), its labels, and the mean and std its pixels in [0, 1] are normalised by.

    The weights are stored in half precision. Raises `ModelError` for an unknown name.
    """
    network = SceneNet()
    stored = load_file(weights_file(name, folder))
    network.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in stored.items()}
    )
    return network.eval(), LABELS, MEAN, STD
