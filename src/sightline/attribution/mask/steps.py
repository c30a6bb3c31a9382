"""Steps of a mask along a direction: line search and momentum of I-GOS, descent of the others.

Every picture of the batch has its own step: none waits for, or depends on, another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from sightline.types import Range

ENOUGH = 1e-4
"""Armijo's constant: the part of the promised fall that a step must bring."""
ROUNDING = 1e-6
"""A smaller fall of the loss is rounding and brings no step: else batches of other sizes would choose other steps."""
SHRINK = 0.2
SMALLEST = 1e-5
STEP = Range(1e-4, 1e6)

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From the masks `m k h w` of some pictures, and which (booleans `b`), to their losses `m`."""


@dataclass(frozen=True, eq=False)
class LineSearch:
    """Backtracking: the largest of α, α/5, α/25, … with loss(M − α d) ≤ loss(M) − 10⁻⁴ α |d|².

    Where none down to 10⁻⁵ does, the mask stays as it is. (The authors take the last step all the same.)
    """

    largest: float

    def __call__(self, masks: torch.Tensor, direction: torch.Tensor, before: torch.Tensor, loss: Loss) -> torch.Tensor:
        """The masks after the step, from the losses before it, `b`."""
        searching = torch.ones(len(masks), dtype=torch.bool, device=masks.device)
        promise = ENOUGH * (direction**2).flatten(1).sum(1)
        step = torch.full_like(before, self.largest)
        while searching.any():
            after = moved(masks, direction, step)
            reached = torch.full_like(before, -torch.inf)
            reached[searching] = loss(after[searching], searching)
            searching &= reached > before - (step * promise).clamp_min(ROUNDING)
            step = torch.where(searching, step * SHRINK, step)
            given_up = searching & (step < SMALLEST)
            searching &= ~given_up
            step = torch.where(given_up, 0, step)
        return moved(masks, direction, step)

    def most(self) -> int:
        """How many steps are tried at most."""
        tried, step = 1, self.largest * SHRINK
        while step >= SMALLEST:
            tried, step = tried + 1, step * SHRINK
        return tried


@dataclass(eq=False)
class Momentum:
    """Nesterov's: c_i = M − α d, M ← c_i + i/(i+3) (c_i − c_{i−1}), clipped to [0, 1]."""

    rate: float
    done: int = 0
    last: torch.Tensor | None = None

    def __call__(self, masks: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """The masks after the step."""
        now = masks - self.rate * direction
        before = now if self.last is None else self.last
        weight, self.last = self.done / (self.done + 3), now
        self.done += 1
        return (now + weight * (now - before)).clamp(0, 1)


@dataclass(eq=False)
class Descent:
    """Gradient descent with a damped velocity: v ← 0.9 v + 0.1 d (at first v = d), m ← clip(m − rate · v)."""

    rate: float
    velocity: torch.Tensor | None = None

    def __call__(self, masks: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """The parameters after the step."""
        self.velocity = direction if self.velocity is None else 0.9 * self.velocity + 0.1 * direction
        return (masks.detach() - self.rate * self.velocity).clamp(0, 1)


@dataclass(eq=False)
class Adam:
    """Adam with the usual constants (0.9, 0.999, 10⁻⁸), the mask clipped to [0, 1] after each step."""

    rate: float
    done: int = 0
    mean: torch.Tensor | None = None
    square: torch.Tensor | None = None

    def __call__(self, masks: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """The masks after the step."""
        self.done += 1
        self.mean = 0.1 * direction + (0 if self.mean is None else 0.9 * self.mean)
        self.square = 0.001 * direction**2 + (0 if self.square is None else 0.999 * self.square)
        mean, square = self.mean / (1 - 0.9**self.done), self.square / (1 - 0.999**self.done)
        return (masks - self.rate * mean / (square.sqrt() + 1e-8)).clamp(0, 1)


def moved(masks: torch.Tensor, direction: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """clip(M − α d), with a step for each picture."""
    return (masks - step[:, None, None, None] * direction).clamp(0, 1)
