"""Relevance-CAM written out from its paper, on the ResNets of torchvision: nothing of Sightline in here.

Every convolution with the normalisation behind it is one linear layer; relevance passes it by the z-plus rule, a skip
in proportion, and ReLUs as it comes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from parity.injected import with_merged_normalisation, with_own_relus
from parity.rows import Case

EPSILON = 1e-6
"""Added to what relevance is divided by, away from zero, in its root mean square, as ours."""


def over(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """A quotient whose divisor is never zero."""
    return above / (below + EPSILON * below.square().mean().sqrt() * torch.where(below < 0, -1.0, 1.0))


def by_positive(layer: Any, x: torch.Tensor, came: torch.Tensor) -> torch.Tensor:
    """The z-plus rule for inputs that are not negative; biases are left out."""
    bias, weight = layer.bias, layer.weight.detach().clone()
    layer.bias, layer.weight = None, nn.Parameter(weight.clamp(min=0))
    try:
        leaf = x.detach().requires_grad_()
        z = layer(leaf)
        return x * torch.autograd.grad(z, leaf, over(came, z.detach()))[0]
    finally:
        layer.bias, layer.weight = bias, nn.Parameter(weight)


def by_block(block: Any, x: torch.Tensor, came: torch.Tensor) -> torch.Tensor:
    """A block of convolutions beside a skip, from what it was given."""
    layers = [block.conv1, block.conv2, *([block.conv3] if hasattr(block, "conv3") else [])]
    given = [x]
    for layer in layers[:-1]:
        given.append(layer(given[-1]).relu())
    branch = layers[-1](given[-1])
    skip = x if block.downsample is None else block.downsample(x)
    share = over(came, branch + skip)
    on_branch, on_skip = branch * share, skip * share
    for layer, own in zip(reversed(layers), reversed(given), strict=True):
        on_branch = by_positive(layer, own, on_branch)
    return on_branch + (on_skip if block.downsample is None else by_positive(block.downsample[0], x, on_skip))


def relevance_cam(case: Case) -> torch.Tensor:
    """ReLU(Σ w A), w the relevance of a channel, begun with 1 at the class and −1/N at every other."""
    network: Any = with_own_relus(with_merged_normalisation(case.network)).requires_grad_(False)
    blocks = [(name, block) for name in ("layer1", "layer2", "layer3", "layer4") for block in getattr(network, name)]
    with torch.no_grad():
        given = [network.maxpool(network.relu(network.conv1(case.pixels)))]
        for _, block in blocks:
            given.append(block(given[-1]))
        pooled = given[-1].mean((2, 3))
    count = network.fc.out_features
    begun = torch.full((1, count), -1 / count).to(pooled)
    begun[0, case.target] = 1
    at_pooled = by_positive(network.fc, pooled, begun)[:, :, None, None]
    cells = given[-1][0, 0].numel()
    came = given[-1] * over(at_pooled, pooled[:, :, None, None]) / cells
    for (name, block), x in zip(reversed(blocks), reversed(given[:-1]), strict=True):
        if name == case.layer:
            break
        came = by_block(block, x, came)
    place = max(index for index, (name, _) in enumerate(blocks) if name == case.layer)
    return torch.einsum("k,khw->hw", came[0].sum((1, 2)), given[place + 1][0]).relu()
