"""Class activation maps written out from their papers, or from their authors' code: nothing of Sightline in here.

Activations and gradients are those of a plain forward hook, scores of a changed layer those of a hook that exchanges
its output. Maps are on the layer's cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch.nn import functional

from parity.rows import Case


def inside(case: Case, pixels: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Activations and gradients `K h w` of the class's logit at the layer, and all logits."""
    kept: list[torch.Tensor] = []
    handle = case.module.register_forward_hook(lambda _module, _given, answer: kept.append(answer))
    try:
        scores = case.network(case.pixels if pixels is None else pixels)
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(scores[0, case.target], kept[0])
    return case.grid(kept[0])[0].detach().double(), case.grid(gradient)[0].double(), scores[0].detach()


@contextmanager
def exchanged(case: Case, cells: torch.Tensor) -> Iterator[None]:
    """The network with the layer's cells `n K h w` in place of its own, picture by picture; class tokens stay."""

    def change(_module: object, _given: object, answer: torch.Tensor) -> torch.Tensor:
        if answer.ndim == 4:
            return cells
        tokens = cells.flatten(2).transpose(1, 2)
        return torch.cat([answer[:, :1], tokens], 1)

    handle = case.module.register_forward_hook(change)
    try:
        yield
    finally:
        handle.remove()


def large(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`K h w` enlarged bilinearly."""
    return functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]


def stretched(maps: torch.Tensor) -> torch.Tensor:
    """`K h w`, each from 0 to 1; 0 where it is the same everywhere."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low), 0.0)


@torch.no_grad()
def scores_of(case: Case, pictures: torch.Tensor) -> torch.Tensor:
    """All logits of pictures, eight at a time."""
    return torch.cat([case.network(some) for some in pictures.to(case.pixels).split(8)])


def plus_plus(case: Case, form: str = "paper") -> torch.Tensor:
    """Grad-CAM++: eq. 19 as printed; or the authors' code, whose shares are scaled to sum 1 over the positive cells."""
    a, g, _ = inside(case)
    below = 2 * g**2 + a.sum((1, 2), keepdim=True) * g**3
    shares = torch.where(g != 0, g**2, 0) / torch.where(below == 0, 1, below)
    if form == "author":
        # Their shares are kept where their weights, ReLU(exp(s) g), are positive; a zero denominator becomes 1.
        shares = torch.where(g > 0, shares, 0)
        whole = shares.sum((1, 2), keepdim=True)
        shares = shares / torch.where(whole == 0, 1, whole)
    weights = (shares * g.relu()).sum((1, 2))
    return torch.einsum("k,khw->hw", weights, a).relu()


def plus_plus_of_authors(case: Case) -> torch.Tensor:
    """Grad-CAM++ as the authors' code computes it, without its factor exp(s)."""
    return plus_plus(case, "author")


def smooth_plus_plus(case: Case) -> torch.Tensor:
    """Smooth Grad-CAM++: eq. 19 with means over noisy copies of g, g² and g³; 8 copies, 0.15 of the range, seed 0."""
    a = inside(case)[0]
    generator = torch.Generator().manual_seed(0)
    sigma = 0.15 * (case.pixels.max() - case.pixels.min())
    each = []
    for _ in range(8):
        noisy = case.pixels + sigma * torch.randn(case.pixels.shape[1:], generator=generator)
        each.append(inside(case, noisy)[1])
    one, two, three = (torch.stack([g**power for g in each]).mean(0) for power in (1, 2, 3))
    below = 2 * two + a.sum((1, 2), keepdim=True) * three
    shares = torch.where(two != 0, two, 0) / torch.where(below == 0, 1, below)
    return torch.einsum("k,khw->hw", (shares * one.relu()).sum((1, 2)), a).relu()


def finer(case: Case) -> torch.Tensor:
    """Finer-CAM by Grad-CAM: the class less the three nearest, weighed by their probabilities as they are."""
    a, own, scores = inside(case)
    near = (scores - scores[case.target]).abs().argsort()
    others = [int(one) for one in near if int(one) != case.target][:3]
    weights = scores.softmax(0)[others].double()
    weights = weights / weights.sum()
    slopes = [inside(Case(case.subject, case.classifier, "", case.pixels, k, case.layer))[1] for k in others]
    total = own - sum((w * g for w, g in zip(weights, slopes, strict=True)), torch.zeros_like(own))
    return torch.einsum("k,khw->hw", total.mean((1, 2)), a).relu()


def score_of_authors(case: Case) -> torch.Tensor:
    """Score-CAM as the authors' code: enlarged, stretched, probability as the weight, no softmax over channels."""
    a = inside(case)[0].to(case.pixels)
    masks = stretched(large(a, case.size))
    weights = scores_of(case, case.pixels * masks[:, None]).softmax(1)[:, case.target]
    constant = masks.flatten(1).amax(1) == 0
    return torch.einsum("k,khw->hw", torch.where(constant, 0, weights), a).relu()


def group(case: Case, keep: float | None = None) -> torch.Tensor:
    """Group-CAM: 32 groups of Grad-CAM's weighted channels, weighed by what they do for the probability.

    As the paper's equations 3 to 7; with `keep`, as the authors' code, which first sets what lies below that percentile
    of a group's map to zero, and adds up the stretched masks at the pixels.
    """
    a, g, _ = (part.to(case.pixels) for part in inside(case))
    weighted = g.mean((1, 2))[:, None, None] * a
    maps = torch.stack([part.sum(0) for part in weighted.chunk(32)]).relu()
    if keep is not None:
        limit = torch.quantile(maps.flatten(1), keep, dim=1)[:, None, None]
        maps = torch.where(maps > limit, maps, 0)
    masks = stretched(large(maps, case.size))
    blurred = wide_blur(case.pixels)
    seen = case.pixels * masks[:, None] + blurred * (1 - masks[:, None])
    probability = scores_of(case, torch.cat([seen, blurred])).softmax(1)[:, case.target]
    alpha = probability[:-1] - probability[-1]
    if keep is not None:
        return torch.einsum("k,khw->hw", alpha, masks).relu()
    return torch.einsum("k,khw->hw", alpha.relu(), maps)


def group_of_authors(case: Case) -> torch.Tensor:
    """Group-CAM as the authors' code."""
    return group(case, keep=0.7)


def wide_blur(pixels: torch.Tensor) -> torch.Tensor:
    """The blur of I-GOS and Group-CAM: 51 pixels wide, σ = 50, edges mirrored without the edge itself."""
    places = torch.arange(51.0) - 25
    kernel = torch.exp(-(places**2) / (2 * 50**2))
    kernel = (kernel / kernel.sum()).to(pixels)[None, None, None].expand(3, 1, 1, -1)
    padded = functional.pad(pixels, (25, 25, 25, 25), mode="reflect")
    return functional.conv2d(functional.conv2d(padded, kernel, groups=3), kernel.mT, groups=3)


@torch.no_grad()
def recipro(case: Case) -> torch.Tensor:
    """Recipro-CAM: the probability from each cell alone, laid over its neighbours by 1/16, 1/8, 1/4; less from none."""
    with torch.enable_grad():
        a = inside(case)[0].to(case.pixels)
    height, width = a.shape[1:]
    kernel = (torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16).to(a)
    spots = torch.eye(height * width).to(a).reshape(-1, 1, height, width)
    masks = functional.conv2d(spots, kernel[None, None], padding=1)
    own = a.flatten(1).T[:, :, None, None]
    versions = torch.cat([own * masks, torch.zeros_like(a)[None]])
    found = []
    for some in versions.split(50):
        with exchanged(case, some):
            found.append(case.network(case.pixels.expand(len(some), -1, -1, -1)).softmax(1)[:, case.target])
    values = torch.cat(found)
    return (values[:-1] - values[-1]).reshape(height, width)


def opti(case: Case) -> torch.Tensor:
    """Opti-CAM: ten steps of Adam on the weights; the mask itself, at the pixels."""
    a = inside(case)[0]
    weights = torch.zeros(len(a), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weights], lr=0.1)

    def mask() -> torch.Tensor:
        total = torch.einsum("k,khw->hw", weights.softmax(0), a)
        return stretched(large(total[None], case.size))[0]

    for _ in range(10):
        adam.zero_grad()
        (-case.network((case.pixels * mask()).to(case.pixels))[0, case.target]).backward()
        adam.step()
    case.network.zero_grad(set_to_none=True)
    return mask().detach()


@torch.no_grad()
def poly(case: Case) -> torch.Tensor:
    """Poly-CAM (PCAM±) over layer3 and layer4, of the 16 channels of each that vary most; on the finer grid."""
    clean, coarse = _probability(case, case.pixels)[0], torch.empty(0)
    for layer in ("layer4", "layer3"):
        with torch.enable_grad():
            a = inside(replace(case, layer=layer))[0].to(case.pixels)
        a = a[a.var((1, 2), correction=0).argsort(descending=True)[:16]]
        masks = large(_percentiles(a), case.size)[:, None]
        kept, lost = (_probability(case, case.pixels * shown) for shown in (masks, 1 - masks))
        own = torch.einsum("k,khw->hw", (kept + clean - lost).relu(), a).relu()[None]
        if layer == "layer3":
            around = functional.interpolate(own[None], coarse.shape[1:], mode="bilinear", align_corners=False)[0]
            size = (own.shape[1], own.shape[2])
            own = own / large(around, size).clamp(min=1e-12) * large(coarse, size)
        coarse = own
    return _percentiles(coarse)[0]


def _probability(case: Case, pictures: torch.Tensor) -> torch.Tensor:
    return scores_of(case, pictures).softmax(1)[:, case.target]


def _percentiles(maps: torch.Tensor) -> torch.Tensor:
    """Maps less their 0.1 % quantile, in parts of their 99.9 % quantile, cut off at 0 and 1, as the authors' code."""
    low, high = (torch.quantile(maps.flatten(1), q, dim=1)[:, None, None] for q in (0.001, 0.999))
    return ((maps - low) / high.clamp(min=1e-12)).clamp(0, 1)
