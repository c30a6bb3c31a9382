"""The small networks' architectures: each one thing that has broken an explainer, and as little else as can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

CLASSES = 4


class Tail(nn.Module):
    """Global average pooling and a linear layer."""

    def __init__(self, channels: int, classes: int = CLASSES) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.linear(self.pool(x).flatten(1))
        return scores


class Plain(nn.Module):
    """Convolution, ReLU, convolution, ReLU, average, linear; the ReLUs in place or not."""

    def __init__(self, inplace: bool = False, classes: int = CLASSES) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.relu1 = nn.ReLU(inplace)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.relu2 = nn.ReLU(inplace)
        self.tail = Tail(8, classes)

    def forward(self, x: torch.Tensor) -> Any:
        return self.tail(self.relu2(self.conv2(self.relu1(self.conv1(x)))))


class SharedRelu(nn.Module):
    """One ReLU and one pooling used twice, or each twice over."""

    def __init__(self, shared: bool = True) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)
        self.relu_again = self.relu if shared else nn.ReLU()
        self.pool_again = self.pool if shared else nn.MaxPool2d(2)
        self.tail = Tail(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.conv1(x)))
        scores: torch.Tensor = self.tail(self.pool_again(self.relu_again(self.conv2(x))))
        return scores


class FunctionalRelu(Plain):
    """No ReLU modules; the last one works in place on what the convolution gave."""

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.conv1(x), inplace=self.inplace)
        scores: torch.Tensor = self.tail(functional.relu(self.conv2(x), inplace=self.inplace))
        return scores


class Residual(nn.Module):
    """Two residual blocks with batch normalisation, one ReLU for all, and sums in place."""

    class Block(nn.Module):
        def __init__(self, channels: int, inplace: bool) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
            self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
            self.relu, self.inplace = nn.ReLU(inplace), inplace

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            inner = inner.add_(x) if self.inplace else inner + x
            outer: torch.Tensor = self.relu(inner)
            return outer

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.layer1 = nn.Sequential(Residual.Block(8, inplace), Residual.Block(8, inplace))
        self.tail = Tail(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.tail(self.layer1(self.stem(x)))
        return scores


class Attention(nn.Module):
    """Self-attention over tokens `b n K`."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: torch.Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return out


class TokenBlock(nn.Module):
    """A pre-normalised transformer block with dropout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attention, self.drop = nn.LayerNorm(width), Attention(width), nn.Dropout(0.3)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop(self.attention(self.norm1(x)))
        out: torch.Tensor = x + self.mlp(self.norm2(x))
        return out


class Tokens(nn.Module):
    """A vision transformer of any input size, read at its class token, or at the mean where it has no prefix tokens."""

    def __init__(self, prefix: int, width: int = 16, patch: int = 4) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, patch, stride=patch)
        self.prefix = nn.Parameter(torch.zeros(1, prefix, width)) if prefix else None
        self.blocks = nn.Sequential(TokenBlock(width), TokenBlock(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        if self.prefix is not None:
            x = torch.cat([self.prefix.expand(len(x), -1, -1), x], dim=1)
        x = self.norm(self.blocks(x))
        scores: torch.Tensor = self.head(x.mean(1) if self.prefix is None else x[:, 0])
        return scores


class ChannelsLast(nn.Module):
    """Blocks of `b h w K`, as Swin's."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed, self.norm = nn.Conv2d(3, 12, 4, stride=4), nn.LayerNorm(12)
        self.block = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 12), nn.LayerNorm(12))
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.patch_embed(x).permute(0, 2, 3, 1))
        scores: torch.Tensor = self.head((x + self.block(x)).mean((1, 2)))
        return scores


class Answers(Plain):
    """A plain network whose answer is packed."""

    def __init__(self, pack: Callable[[torch.Tensor], Any], classes: int = CLASSES) -> None:
        super().__init__(classes=classes)
        self.pack = pack

    def forward(self, x: torch.Tensor) -> Any:
        return self.pack(super().forward(x))


class Stubborn(Plain):
    """Its `train` and `eval` are its own, and must never be called."""

    def train(self, mode: bool = True) -> Any:
        raise AssertionError("train() of the network was called")

    def eval(self) -> Any:
        raise AssertionError("eval() of the network was called")


def plain_with_statistics() -> nn.Module:
    """Batch normalisation, dropout and the average pooling of a mobile network, all left in training mode."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout2d(0.4),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.4),
        Tail(8),
    )


def depthwise() -> nn.Module:
    """Depthwise and pointwise convolutions with SiLU and batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.SiLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.BatchNorm2d(8),
        nn.SiLU(inplace=True),
        nn.Conv2d(8, 10, 1),
        nn.BatchNorm2d(10),
        Tail(10),
    )


def batch_statistics() -> nn.Module:
    """Batch normalisation that keeps no statistics, and so mixes the pictures of a batch."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6, track_running_stats=False), nn.ReLU(), Tail(6)
    )
