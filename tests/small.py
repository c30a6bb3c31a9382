"""Tiny networks and slow, plain re-derivations that the oracles share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def seeded(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with parameters from a seed, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(1, parameter[0].numel()) ** 0.5)
    return network.eval()


def smooth(classes: int = 3) -> nn.Module:
    """Two convolutions with tanh, average, linear: differentiable everywhere."""
    return seeded(
        nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(5, 6, 3, stride=2, padding=1),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, classes),
        )
    )


def pooled(seed: int = 1) -> nn.Module:
    """Convolution, ReLU, average, linear: CAM is defined at its ReLU."""
    return seeded(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 4),
        ),
        seed,
    )


def flat(height: int, width: int, seed: int = 2, channels: int = 3, classes: int = 3) -> nn.Module:
    """A linear function of the pixels."""
    return seeded(nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes)), seed)


def convolved(height: int, width: int, seed: int = 3) -> nn.Module:
    """Convolution and ReLU, then linear over all cells: every pixel counts by where it is."""
    made = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(5 * height * width, 4))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return made


class Square(nn.Module):
    """A quadratic function of the pixels: its gradient is linear in them."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(pixels, 4), nn.Linear(pixels, 3)
        self.mix = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        scores: torch.Tensor = self.mix(self.one(x) ** 2) + self.two(x)
        return scores


def picture(height: int, width: int, pictures: int = 1, seed: int = 5) -> torch.Tensor:
    """Prepared pictures from 0 to 1, `b 3 h w`."""
    return torch.rand(pictures, 3, height, width, generator=torch.Generator().manual_seed(seed))


def gradient_of(network: nn.Module, x: torch.Tensor, score: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """∂score/∂x by autograd, one plain call."""
    leaf = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(network(leaf)).sum(), leaf)
    return gradient


def finite_differences(
    network: nn.Module, x: torch.Tensor, score: Callable[[torch.Tensor], torch.Tensor], step: float = 1e-5
) -> torch.Tensor:
    """∂score/∂x of one picture by central differences in float64, pixel by pixel."""
    network, x = network.double(), x.double()
    found = torch.zeros_like(x)
    with torch.no_grad():
        for place in range(x.numel()):
            for sign in (1, -1):
                moved = x.clone()
                moved.view(-1)[place] += sign * step
                found.view(-1)[place] += sign * score(network(moved)).sum() / (2 * step)
    return found


def close(one: torch.Tensor, other: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """Whether two maps agree, relative to the largest value."""
    assert one.shape == other.shape, (one.shape, other.shape)
    apart = float((one.double() - other.double()).abs().max())
    return apart <= tolerance * max(float(one.abs().max()), float(other.abs().max()), 1e-30)
