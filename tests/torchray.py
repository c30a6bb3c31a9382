"""TorchRay's way: backward passes that are patched, on a network with skip connections."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from small import seeded


class Excited(torch.autograd.Function):
    """p' = x ⊙ f*(x, w⁺, p ⊘ f(x, w⁺)) for a layer f; `weight` as in the way back, not forward."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, answer: torch.Tensor, run: Any) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.run = run
        return answer.clone()

    @staticmethod
    def backward(ctx: Any, p: torch.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            output = ctx.run(leaf)
            (back,) = torch.autograd.grad(output, leaf, p / (output + 1e-20))
        return back * x, None, None


class Added(torch.autograd.Function):
    """A skip connection hands down in proportion to what each branch adds."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(a, b)
        return a + b

    @staticmethod
    def backward(ctx: Any, p: torch.Tensor) -> Any:
        a, b = ctx.saved_tensors
        return a / (a + b) * p, b / (a + b) * p


class Handed(torch.autograd.Function):
    """What is handed down as it is: batch normalisation and ReLU (where nothing came, nothing is handed down)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        return answer.clone()

    @staticmethod
    def backward(ctx: Any, p: torch.Tensor) -> Any:
        return p, None


class TorchRay:
    """A ResNet of basic blocks, run with TorchRay's ways back.

    The authors ask that negative scales of batch normalisations be moved into the convolutions first.
    """

    def __init__(self, network: Any, *, turn: bool = True) -> None:
        self.network, self.turn = network, turn

    def convolved(self, x: torch.Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> torch.Tensor:
        sign = norm.weight.sign() if self.turn else torch.ones_like(norm.weight)
        weight = (conv.weight * sign[:, None, None, None]).clamp(min=0).detach()
        with torch.no_grad():
            answer = norm(conv(x))
        return Excited.apply(x, answer, lambda one: functional.conv2d(one, weight, None, conv.stride, conv.padding))

    def relu(self, x: torch.Tensor) -> torch.Tensor:
        return Handed.apply(x, x.detach().relu()) * (x.detach() > 0)

    def block(self, x: torch.Tensor, block: Any) -> torch.Tensor:
        out = self.relu(self.convolved(x, block.conv1, block.bn1))
        out = self.convolved(out, block.conv2, block.bn2)
        if block.downsample is not None:
            x = self.convolved(x, *block.downsample)
        return self.relu(Added.apply(out, x))

    def run(self, x: torch.Tensor, at: str, top: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        """The output of a stage and the scores."""
        net = self.network
        with torch.no_grad():
            x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        for name in ("layer1", "layer2", "layer3", "layer4"):
            for block in getattr(net, name):
                x = self.block(x, block)
            if name == at:
                kept = x = x.detach().requires_grad_()
        with torch.no_grad():
            means = x.mean((2, 3))
        x = Excited.apply(x, means, lambda one: one.mean((2, 3)))
        with torch.no_grad():
            scores = net.fc(x)
        weight = (top * net.fc.weight).clamp(min=0).detach()
        return kept, Excited.apply(x, scores, lambda one: functional.linear(one, weight))

    def handed(self, x: torch.Tensor, start: torch.Tensor, at: str, top: float = 1.0) -> torch.Tensor:
        """What reaches the output of a stage, `K h w`, of what the scores begin with."""
        kept, scores = self.run(x, at, top)
        (found,) = torch.autograd.grad(scores, kept, start[None])
        return found[0]

    def won(self, x: torch.Tensor, target: int, at: str, top: float = 1.0) -> torch.Tensor:
        """The map of a class, `h w`."""
        return self.handed(x, torch.eye(self.network.fc.out_features)[target], at, top).sum(0)


@cache
def resnet() -> Any:
    """ResNet-18 with normalisations of both signs and activations of a sensible size."""
    models = pytest.importorskip("torchvision.models")
    network = seeded(models.resnet18(weights=None, num_classes=10))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.copy_(torch.rand(module.weight.shape, generator=generator) + 0.25)
                module.weight[::5] *= -1
                module.bias.mul_(0.1)
    return network
