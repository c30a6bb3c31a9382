"""The smooth maximum of products, written out for speed: what takes the time in a mask of bumps.

    m_cx = Σ_i w_i e^{T w_i} / Σ_i e^{T w_i},   w_i = p_ci b_ix   ∂m/∂w_i = e^{T w_i} (1 + T (w_i − m)) / Σ_j e^{T w_j}

Fong, Patrick, Vedaldi, ICCV 2019, section 3.3. Autograd would hold every w_i of every pixel, 81 times the mask, and go
through that memory a dozen times; term by term a stretch of the sums stays in the processor's cache, and the terms are
made again for the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

_ROWS = 2048
"""Rows at once on a processor: with 49 columns four buffers of 400 kB, which its cache holds. A GPU takes all."""


def smooth_maximum(factors: torch.Tensor, bumps: torch.Tensor, coldness: float) -> torch.Tensor:
    """m of every row and column: factors `c i` from 0 to 1 and bumps `i x` from 0 to 1 → `c x`; bumps have no gradient.

    Args:
        factors: p.
        bumps: b.
        coldness: T, at most 40: e^T is not shifted, and must stay far from the end of float32.
    """
    found: torch.Tensor = _SmoothMaximum.apply(factors, bumps, coldness)
    return found


class _SmoothMaximum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, factors: torch.Tensor, bumps: torch.Tensor, coldness: float) -> torch.Tensor:
        found, norm = (factors.new_zeros(len(factors), bumps.shape[1]) for _ in range(2))
        for rows in _stretches(factors):
            above, below = found[rows], norm[rows]
            for _, cold, power in _terms(factors[rows], bumps, coldness):
                below.add_(power)
                above.addcmul_(cold, power)
        found.div_(norm).div_(coldness)
        ctx.save_for_backward(factors, bumps, found, norm)
        ctx.coldness = coldness
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        factors, bumps, found, norm = ctx.saved_tensors
        gradient = torch.empty_like(factors)
        for rows in _stretches(factors):
            share = slope[rows] / norm[rows]
            flat = share * (1 - ctx.coldness * found[rows])
            for place, cold, power in _terms(factors[rows], bumps, ctx.coldness):
                torch.addcmul(flat, share, cold, out=cold)
                torch.mv(cold.mul_(power), bumps[place], out=gradient[rows, place])
        return gradient, None, None


def _stretches(factors: torch.Tensor) -> Iterator[slice]:
    size = _ROWS if factors.device.type == "cpu" else max(1, len(factors))
    return (slice(start, start + size) for start in range(0, len(factors), size))


def _terms(
    factors: torch.Tensor, bumps: torch.Tensor, coldness: float
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Of each term its place, T w and e^{T w}, `c x` each, in the same two buffers for all: for use before the next."""
    cold, power = (factors.new_empty(len(factors), bumps.shape[1]) for _ in range(2))
    for place, (column, bump) in enumerate(zip((coldness * factors).T.contiguous(), bumps, strict=True)):
        torch.outer(column, bump, out=cold)
        torch.exp(cold, out=power)
        yield place, cold, power
