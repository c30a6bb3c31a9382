"""What a mask is to make small: a weighted sum over perturbed versions of each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from sightline.models.targets import Target
from sightline.passes.gradient_pass import gradient
from sightline.passes.perturbations import Perturbation
from sightline.passes.runner import Runner
from sightline.types import Pixels, Scores


@dataclass(frozen=True, eq=False)
class Aim:
    """Σ_j weights[j] · value(scores of version j), for each picture.

    Attributes:
        target: the class of each picture.
        weights: `n`, one a version.
        value: from scores `b k` and their target to a number a picture.
    """

    target: Target
    weights: torch.Tensor
    value: Callable[[Scores, Target], torch.Tensor]


def gradient_at(
    runner: Runner, pixels: Pixels, leaf: torch.Tensor, describe: Callable[[torch.Tensor], Perturbation], aim: Aim
) -> tuple[torch.Tensor, torch.Tensor]:
    """The aim of each picture, `b`, and ∂aim/∂leaf, summed over the versions a part at a time."""
    given, pictures = runner.given(pixels), len(pixels)
    values, total = torch.zeros(pictures, device=runner.device), torch.zeros(leaf.shape, device=runner.device)

    def ask(rows: slice) -> None:
        with torch.enable_grad():
            begin = leaf.detach().to(runner.device).requires_grad_()
            batch = describe(begin).make(given, rows)
        weights = aim.weights[rows].to(total).repeat_interleave(pictures)
        found, back = gradient(runner, batch, aim.target.tiled(len(batch) // pictures), aim.value, layout="fastest")
        (here,) = torch.autograd.grad(batch, begin, (back * weights[:, None, None, None]).to(batch.dtype))
        total.add_(here)
        values.add_((found.float() * weights).unflatten(0, (-1, pictures)).sum(0))

    runner.batched(len(aim.weights), given, ask, gradients=True, each=pictures)
    return values, total
