"""The smooth maximum written out by hand beside autograd's, and what a pyramid's pictures slope to at its levels."""

from __future__ import annotations

import pytest
import torch

from sightline.attribution.mask import smooth_maximum as module
from sightline.attribution.mask.pyramid import Seen, faded
from sightline.attribution.mask.smooth_maximum import smooth_maximum
from sightline.images.values import ValueRange
from small import picture

COLDNESS = 20.0


def drawn(rows: int = 11, terms: int = 9, columns: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Factors with zeros and ones among them, bumps, and the slope at the result."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.rand(rows, terms, generator=generator, dtype=torch.float64)
    factors[0], factors[1], factors[2, ::2] = 0, 1, 0
    bumps = torch.rand(terms, columns, generator=generator, dtype=torch.float64)
    return factors, bumps, torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def by_softmax(factors: torch.Tensor, bumps: torch.Tensor) -> torch.Tensor:
    """The definition: Σ w softmax(T w), for autograd."""
    products = factors[:, :, None] * bumps
    return (products * (COLDNESS * products).softmax(1)).sum(1)


@pytest.mark.parametrize("rows_at_once", [3, 4096])
def test_value_and_slope_are_those_of_the_definition(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", rows_at_once)
    factors, bumps, slope = drawn()
    leaf, twin = factors.clone().requires_grad_(), factors.clone().requires_grad_()
    found, expected = smooth_maximum(leaf, bumps, COLDNESS), by_softmax(twin, bumps)
    assert torch.allclose(found, expected, rtol=1e-12)
    (ours,), (theirs,) = torch.autograd.grad(found, leaf, slope), torch.autograd.grad(expected, twin, slope)
    assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(ours, theirs * 1.001, rtol=1e-10, atol=1e-12)  # a thousandth would be seen


def test_in_float32_ones_and_zeros_are_within_rounding() -> None:
    factors, bumps, _ = drawn(200, 81, 49)
    found = smooth_maximum(factors.float(), bumps.float(), COLDNESS)
    assert torch.isfinite(found).all()
    assert float((found - by_softmax(factors, bumps)).abs().max()) < 5e-6
    assert torch.equal(found[0], torch.zeros(49))


def test_a_level_slopes_to_the_next_one_and_the_last_does_not() -> None:
    x = picture(4, 5)
    pyramid = faded(x, ValueRange.unit(), 5)
    mask = torch.tensor([0.0, 0.25, 0.3, 0.75, 1.0]).expand(1, 1, 4, 5).clone().requires_grad_()
    seen = Seen(mask, pyramid, ((0, True),)).make(x, slice(0, 1))
    (slope,) = torch.autograd.grad(seen.sum(), mask)
    step = (x - pyramid[0]).sum(1, keepdim=True)  # fading is linear: every level is as far from the next
    assert torch.allclose(slope[..., :-1], step[..., :-1], atol=1e-5)
    assert torch.equal(slope[..., -1], torch.zeros(1, 1, 4))
    assert torch.allclose(seen[..., -1], x[..., -1])
