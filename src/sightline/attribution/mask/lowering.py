"""How I-GOS gives way where hiding is too dear for the score to fall: it lowers the price λ₁ on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

FEWEST = 4
"""Steps; with fewer the price stays."""


@dataclass(eq=False)
class Lowering:
    """λ₁ of each picture: a tenth after half of the steps, where the score at the mask has moved by 0.001 at most, and
    a fifth of what it then is after four fifths, where by 0.01 at most.

    Qi, Khorram, Li, AAAI 2020, authors' code. As there, the score is that of one step before, a lower price counts from
    the next step on, and a mask of fewer than four steps keeps its price.

    Attributes:
        steps: how many are made.
        price: λ₁ at the beginning, `b`.
    """

    steps: int
    price: torch.Tensor
    scores: list[torch.Tensor] = field(default_factory=list)

    def __call__(self, score: torch.Tensor) -> None:
        """To be told the score `b` at the mask before each step, once the step is made."""
        done = len(self.scores)
        self.scores.append(score)
        if self.steps < FEWEST:
            return
        moved = (self.scores[max(0, done - 1)] - self.scores[0]).abs()
        if done == self.steps // 2:
            self.price = torch.where(moved <= 0.001, self.price / 10, self.price)
        elif done == int(self.steps / 1.25):
            self.price = torch.where(moved <= 0.01, self.price / 5, self.price)
