"""Whose share in a score's variance is how large: designs that vary all factors at once, and total indices."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch.quasirandom import SobolEngine

Sequence: TypeAlias = Literal["sobol", "halton"]
Estimator: TypeAlias = Literal["jansen", "homma", "janon", "glen"]
_STILL = 1e-14
"""Of the squared mean: scores that vary less differ by the rounding of float32 only."""


def halves(sequence: Sequence, factors: int, rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A and B, `n r` each in [0, 1): the halves of a scrambled Sobol sequence, or of Halton's, which needs no seed."""
    if sequence == "sobol":
        design = SobolEngine(2 * factors, scramble=True, seed=seed).draw(rows)
    else:
        design = torch.stack([_inverse(rows, prime) for prime in _primes(2 * factors)], 1)
    first, second = design.split(factors, 1)
    return first, second


def total_indices(scores: torch.Tensor, estimator: Estimator = "jansen") -> tuple[torch.Tensor, torch.Tensor]:
    """Total indices and their standard errors: float64 `n (1 + r)`, y(A) and y(C_i) row by row → `r`, `r`.

    The errors are those of leaving out each row in turn; n is at least 3.
    """
    middle, n = float(scores.mean()), len(scores)
    centred = scores - middle  # so that a large mean costs no digits
    a, c = centred[:, :1].expand(-1, scores.shape[1] - 1), centred[:, 1:]
    parts = torch.stack([a, c, a * a, c * c, (a - c) ** 2])
    total = parts.sum(1)
    without = _index(estimator, (total[:, None] - parts) / (n - 1), n - 1, middle)
    error = ((without - without.mean(0)) ** 2).sum(0) * (n - 1) / n
    return _index(estimator, total / n, n, middle), error.sqrt()


def _index(estimator: Estimator, means: torch.Tensor, n: int, middle: float) -> torch.Tensor:
    """The index from the means of y(A), y(C_i), their squares and their squared difference, all but `middle`."""
    a, c, aa, cc, apart = means
    product, variance = (aa + cc - apart) / 2, (aa - a * a) * n / (n - 1)
    if estimator == "jansen":
        above, below = apart / 2, variance
    elif estimator == "homma":
        above, below = variance - product + a * a - middle * (c - a), variance
    elif estimator == "janon":
        above, below = apart / 2, (aa + cc) / 2 - ((a + c) / 2) ** 2
    else:
        below = ((aa - a * a) * (cc - c * c)).clamp_min(0).sqrt()
        above = below - product + a * c
    moved = (variance > _STILL * middle**2) & (below > 0)
    return torch.where(moved, above / torch.where(moved, below, 1), 0)


def _inverse(rows: int, base: int) -> torch.Tensor:
    """0, 1, 2 … with their digits mirrored at the point: Halton's sequence in one dimension."""
    left, found, place = torch.arange(rows), torch.zeros(rows), 1.0
    while left.any():
        place /= base
        found += place * (left % base)
        left = left // base
    return found


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found
