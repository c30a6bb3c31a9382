"""Masks sought by descent, written out from their papers and their authors' code: nothing of Sightline in here.

All are shortened to few steps, and without noise. A mask of 1 shows the picture, of 0 what is put in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from scipy import ndimage
from torch.nn import functional

from parity.authors_cams import wide_blur
from parity.rows import Case

Loss: TypeAlias = Callable[[torch.Tensor, float], torch.Tensor]
"""From masks `k h w` and the part of the way s to the probabilities that count, with their weights."""

SPARSITY, SMOOTHNESS = 0.01, 0.2


def up(mask: torch.Tensor, case: Case) -> torch.Tensor:
    """U of I-GOS: a mask `h w` enlarged to the picture, corner on corner."""
    return functional.interpolate(mask[None, None], case.size, mode="bilinear", align_corners=True)[0, 0]


def shown(case: Case, mask: torch.Tensor) -> torch.Tensor:
    """The class's probability of the picture through a mask at the pixels, over I-GOS's blur."""
    seen = mask * case.pixels + (1 - mask) * wide_blur(case.pixels)
    return case.network(seen).softmax(1)[0, case.target]


def variation(mask: torch.Tensor) -> torch.Tensor:
    """TV: the mean squared differences along both axes, added up."""
    return mask.diff(dim=0).square().mean() + mask.diff(dim=1).square().mean()


def bilateral(mask: torch.Tensor, case: Case) -> torch.Tensor:
    """BTV of iGOS++: half of TV, and half of that of the enlarged mask where the picture itself has no edge."""
    grey, large = case.pixels[0].mean(0), up(mask, case)
    parts = [torch.exp(-(grey.diff(dim=axis) ** 2) / 0.01) * large.diff(dim=axis) ** 2 for axis in (0, 1)]
    return (variation(mask) + parts[0].mean() + parts[1].mean()) / 2


def i_gos(case: Case, iterations: int = 2, points: int = 3) -> torch.Tensor:
    """I-GOS: a line search from 200 by the loss at the mask; 1 − U(M)."""
    mask = torch.ones(28, 28).to(case.pixels)

    def rough(m: torch.Tensor) -> torch.Tensor:
        return SPARSITY * (1 - m).abs().mean() + SMOOTHNESS * variation(m)

    for _ in range(iterations):
        leaf = mask.clone().requires_grad_()
        seen = [shown(case, s / points * up(leaf, case)) for s in range(1, points + 1)]
        loss = torch.stack(seen).mean() + rough(leaf)
        (direction,) = torch.autograd.grad(loss, leaf)
        step, length = 200.0, float(direction.square().sum())
        with torch.no_grad():
            before = float(shown(case, up(mask, case)) + rough(mask))
            while step >= 1e-5:
                tried = (mask - step * direction).clamp(0, 1)
                if float(shown(case, up(tried, case)) + rough(tried)) <= before - max(1e-4 * step * length, 1e-6):
                    mask = tried
                    break
                step *= 0.2
    return 1 - up(mask, case)


def by_momentum(case: Case, count: int, loss: Loss) -> torch.Tensor:
    """Three of Nesterov's steps of rate 2 on masks of ones, along the mean over three points; 1 − U(their product)."""
    masks, last = torch.ones(count, 28, 28).to(case.pixels), torch.empty(0)
    for done in range(3):
        leaf = masks.clone().requires_grad_()
        result = leaf.prod(0)
        total = torch.stack([loss(leaf, s / 3) for s in (1, 2, 3)]).mean()
        total = total + SPARSITY * (1 - result).abs().mean() + SMOOTHNESS * bilateral(result, case)
        now = masks - 2 * torch.autograd.grad(total, leaf)[0]
        masks = (now + done / (done + 3) * (now - (last if done else now))).clamp(0, 1)
        last = now
    return 1 - up(masks.prod(0), case)


def igos_plus(case: Case) -> torch.Tensor:
    """iGOS+: one mask, p(Φ(sM)) − p(Φ(1 − sM))."""

    def loss(masks: torch.Tensor, s: float) -> torch.Tensor:
        mask = s * up(masks[0], case)
        return shown(case, mask) - shown(case, 1 - mask)

    return by_momentum(case, 1, loss)


def igos_plus_plus(case: Case) -> torch.Tensor:
    """iGOS++: ½ [p(Φ(sMx)) − p(Φ(1 − sMy)) + p(Φ(sMxMy)) − p(Φ(1 − sMxMy))], each mask enlarged by itself."""

    def loss(masks: torch.Tensor, s: float) -> torch.Tensor:
        x, y = up(masks[0], case), up(masks[1], case)
        both = shown(case, s * x * y) - shown(case, 1 - s * x * y)
        return (shown(case, s * x) - shown(case, 1 - s * y) + both) / 2

    return by_momentum(case, 2, loss)


def meaningful(case: Case) -> torch.Tensor:
    """Meaningful perturbation: four steps of Adam at 0.1 from the smallest disc that hides enough; nothing is moved."""
    other = torch.from_numpy(ndimage.gaussian_filter(case.pixels.numpy(), (0, 0, 10, 10), mode="reflect"))
    blur = torch.from_numpy(
        ndimage.gaussian_filter1d(torch.eye(case.size[0]).double().numpy(), 5, axis=0, mode="reflect")
    )

    def large(m: torch.Tensor) -> torch.Tensor:
        return blur @ m.repeat_interleave(8, 0).repeat_interleave(8, 1) @ blur.T

    def probability(m: torch.Tensor) -> torch.Tensor:
        seen = large(m) * case.pixels + (1 - large(m)) * other
        return case.network(seen).softmax(1)[0, case.target]

    mask = torch.nn.Parameter(disc(probability))
    adam = torch.optim.Adam([mask], lr=0.1)
    for _ in range(4):
        adam.zero_grad()
        rough = sum((mask.diff(dim=axis).abs() ** 3).sum() for axis in (0, 1))
        loss = probability(mask) + 1e-4 * (1 - mask).abs().sum() + 1e-2 * rough
        (mask.grad,) = torch.autograd.grad(loss, mask)
        adam.step()
        mask.data.clamp_(0, 1)
    return large(1 - mask.detach())


@torch.no_grad()
def disc(probability: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """The smallest of eleven centred discs, the widest to the corners, that takes 99 % of what hiding all takes."""
    line = torch.linspace(-1, 1, 28, dtype=torch.float64)
    apart = (line[:, None] ** 2 + line**2).sqrt()
    nothing, everything = torch.ones_like(apart), torch.zeros_like(apart)
    fall = float(probability(nothing) - probability(everything))
    for radius in range(1, 12):
        mask = (apart > radius * 2**0.5 / 11).double()
        if fall > 0 and float(probability(nothing) - probability(mask)) >= 0.99 * fall:
            return mask
    return nothing
