"""Winning probabilities by hand: every layer as a matrix, shared out entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from small import seeded


def chain(seed: int = 3) -> Any:
    """Convolution and batch normalisation (scales of both signs), pooling of both kinds, dense layers with biases."""
    network = seeded(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 5, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(30, 8),
            nn.ReLU(),
            nn.Linear(8, 4),
        ),
        seed,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        network[1].running_mean.copy_(torch.randn(4, generator=generator) / 4)
        network[1].running_var.copy_(torch.rand(4, generator=generator) + 0.5)
        network[1].weight[0] = -1.0
    return network


def matrix(module: nn.Module, x: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
    """What a module without its bias makes of every unit alone: outputs × inputs, for one picture `1 …`.

    Args:
        module: a convolution, a dense layer, or pooling (of a maximum: where it was taken).
        x: what it was given.
        scale: of the batch normalisation behind it, one a channel.
    """
    if isinstance(module, nn.MaxPool2d):
        output, places = nn.functional.max_pool2d(x, module.kernel_size, return_indices=True)
        cells = x[0, 0].numel()
        chosen = places.flatten(2)[0] + cells * torch.arange(x.shape[1])[:, None]
        return torch.eye(x.numel())[chosen.flatten()].view(output.numel(), x.numel())
    nothing = module(torch.zeros_like(x))
    columns = []
    for place in range(x.numel()):
        unit = torch.zeros_like(x)
        unit.view(-1)[place] = 1
        answer = (module(unit) - nothing)[0]
        columns.append((answer if scale is None else answer * scale[:, None, None]).flatten())
    return torch.stack(columns, 1)


def shared_out(x: torch.Tensor, weights: torch.Tensor, won: torch.Tensor) -> torch.Tensor:
    """P(i) = Σ_j x_i w_ij⁺ / Σ_k x_k w_kj⁺ · P(j), for what is not negative: outputs' P → inputs' P."""
    assert bool((x >= 0).all())
    given, found = x.flatten().double(), torch.zeros(x.numel(), dtype=torch.float64)
    for row, probability in zip(weights.double().clamp(min=0), won.flatten().double(), strict=True):
        excited = given * row
        if float(excited.sum()) > 0:
            found += excited / excited.sum() * probability
    return found.view_as(x)


@torch.no_grad()
def handed_down(
    network: Sequence[nn.Module], x: torch.Tensor, start: torch.Tensor, stop: int, top: float = 1.0
) -> torch.Tensor:
    """From the scores of a chain to the output of its module `stop`.

    Args:
        network: modules in order; a batch normalisation belongs to the convolution before it.
        x: one picture.
        start: what the scores begin with, one a class.
        stop: where to stop.
        top: what the weights of the last layer are multiplied with (−1: its dual).
    """
    modules, given = list(network), [x]
    for module in modules:
        given.append(module(given[-1]))
    won = start.double()
    for place in reversed(range(stop + 1, len(modules))):
        module, before = modules[place], given[place]
        if isinstance(module, nn.ReLU | nn.BatchNorm2d):
            continue
        if isinstance(module, nn.Flatten):
            won = won.view_as(before)
            continue
        after = modules[place + 1] if place + 1 < len(modules) else None
        scale = None
        if isinstance(after, nn.BatchNorm2d):
            assert after.running_var is not None
            scale = after.weight / (after.running_var + after.eps).sqrt()
        weights = matrix(module, before, scale)
        won = shared_out(before, weights * top if place == len(modules) - 1 else weights, won)
    return won
