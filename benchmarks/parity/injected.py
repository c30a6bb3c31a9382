"""What a peer draws at random, replaced by what we draw; and networks in the form that a peer's hooks need."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sightline.attribution.gradient.noisy import Noisy
from sightline.attribution.table import METHODS


@contextmanager
def replaced(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    """Attributes of a peer's modules replaced for a while: (owner, name, value) each."""
    owner, name, value = changes[0]
    with patch.object(owner, name, value):
        if changes[1:]:
            with replaced(*changes[1:]):
                yield
        else:
            yield


def noise_of(spec: str, pixels: torch.Tensor) -> torch.Tensor:
    """The noise that our wrapper adds to a picture `1 c h w`: one row a copy, `n c h w`."""
    method = METHODS.make(spec)
    assert isinstance(method, Noisy)
    sigma = method.spread * (pixels.max() - pixels.min())
    return sigma * normal(method.samples, pixels, method.seed)


def normal(samples: int, pixels: torch.Tensor, seed: int) -> torch.Tensor:
    """What our noise is made from: standard normal numbers, `n c h w`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(pixels.shape[1:], generator=generator) for _ in range(samples)])


@contextmanager
def unfused(network: nn.Module) -> Iterator[None]:
    """A network of timm while its attention is written out: fused kernels keep no weights, and have no curvature."""
    fused: list[Any] = [module for module in network.modules() if getattr(module, "fused_attn", False)]
    for module in fused:
        module.fused_attn = False
    try:
        yield
    finally:
        for module in fused:
            module.fused_attn = True


class InTurns(nn.Module):
    """One module that is called many times, as many modules that are called once each."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.ReLU() for _ in range(count))
        self.done = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.done += 1
        answer: torch.Tensor = self.each[(self.done - 1) % len(self.each)](x)
        return answer


def with_own_relus(network: nn.Module) -> nn.Module:
    """A copy of a torchvision ResNet in which every ReLU is a module of its own and none works in place."""
    from torchvision.models.resnet import BasicBlock, Bottleneck

    twin = copy.deepcopy(network)
    for module in list(twin.modules()):
        if isinstance(module, BasicBlock | Bottleneck):
            module.relu = InTurns(2 if isinstance(module, BasicBlock) else 3)
    twin.relu = nn.ReLU()
    return twin


def with_merged_normalisation(network: nn.Module) -> nn.Module:
    """A copy in which every batch normalisation is part of the convolution before it, merged by torch."""
    twin = copy.deepcopy(network)
    for module in list(twin.modules()):
        place, before = "", module
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                assert isinstance(before, nn.Conv2d)
                setattr(module, place, fuse_conv_bn_eval(before, child))
                setattr(module, name, nn.Identity())
            place, before = name, child
    return twin


def without_max_pooling(network: nn.Module) -> nn.Module:
    """A copy of a torchvision ResNet that averages where it took the largest."""
    twin = copy.deepcopy(network)
    twin.maxpool = nn.AvgPool2d(2)
    return twin
