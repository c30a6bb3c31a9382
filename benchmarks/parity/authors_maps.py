"""Maps at the pixels written out from their papers, or from their authors' code: nothing of Sightline in here."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from parity.authors_cams import scores_of, wide_blur
from parity.injected import with_own_relus
from parity.rows import Case


def slope(case: Case, picture: torch.Tensor) -> torch.Tensor:
    """∂logit/∂picture, `1 c h w`."""
    leaf = picture.detach().to(case.pixels).clone().requires_grad_()
    return torch.autograd.grad(case.network(leaf)[0, case.target], leaf)[0]


def score(case: Case, picture: torch.Tensor) -> float:
    """The class's logit."""
    return float(scores_of(case, picture)[0, case.target])


def idgi(case: Case) -> torch.Tensor:
    """IDGI, algorithm 1, on eight steps of the straight way from the mean colour."""
    points = [j / 8 * case.pixels for j in range(9)]
    total = torch.zeros_like(case.pixels, dtype=torch.float64)
    for here, there in itertools.pairwise(points):
        squares = slope(case, here).double() ** 2
        total += squares / squares.sum() * (score(case, there) - score(case, here))
    return total[0]


def blur_ig(case: Case) -> torch.Tensor:
    """Blur IG, eq. 5, in 16 steps from σ = 20: the gradient at each step's middle, times how the picture changes."""

    def blurred(sigma: float) -> torch.Tensor:
        found = ndimage.gaussian_filter(case.pixels.double().numpy(), (0, 0, sigma, sigma), mode="reflect")
        return torch.from_numpy(found)

    ends = [20 * (1 - j / 16) for j in range(17)]
    total = torch.zeros_like(case.pixels, dtype=torch.float64)
    for first, last in itertools.pairwise(ends):
        total += slope(case, blurred((first + last) / 2)) * (blurred(last) - blurred(first))
    return total[0]


def full_grad(case: Case) -> torch.Tensor:
    """FullGrad of convolutional networks: input × gradient, and every bias × gradient, each scaled and enlarged."""
    kept: dict[str, torch.Tensor] = {}
    network = with_own_relus(case.network)  # a ReLU in place would write over what is kept
    modules = {name: m for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d | nn.Conv2d)}

    def keeper(name: str) -> Any:
        return lambda _module, _given, answer: kept.__setitem__(name, answer)

    handles = [module.register_forward_hook(keeper(name)) for name, module in modules.items()]
    leaf = case.pixels.clone().requires_grad_()
    try:
        out = network(leaf)[0, case.target]
    finally:
        for handle in handles:
            handle.remove()
    first, *rest = torch.autograd.grad(out, [leaf, *kept.values()])
    parts = [(leaf * first).detach()]
    for name, gradient in zip(kept, rest, strict=True):
        module: Any = modules[name]
        bias: Any = module.bias
        if isinstance(module, nn.BatchNorm2d):
            bias = bias - module.running_mean * module.weight / torch.sqrt(module.running_var + module.eps)
        if bias is not None:
            parts.append(gradient * bias.detach()[None, :, None, None])
    return sum((_scaled(part, case.size) for part in parts), torch.zeros(case.size).to(leaf))


def _scaled(part: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """|part| from 0 to 1 over all its channels, enlarged, its channels added up."""
    part = part.abs()
    part = (part - part.min()) / (part.max() - part.min())
    return functional.interpolate(part, size, mode="bilinear", align_corners=False).sum((0, 1))


def rise(case: Case) -> torch.Tensor:
    """RISE as the authors' code: 64 masks of 7 × 7 cells of scikit-image, Σ p M / (N p̄); our draws (seed 3)."""
    generator = torch.Generator().manual_seed(3)
    grids = (torch.rand(64, 7, 7, generator=generator) < 0.5).float()
    cell = -(-case.size[0] // 7)
    places = [torch.randint(0, cell, (64,), generator=generator) for _ in range(2)]
    masks = []
    for grid, top, left in zip(grids, *places, strict=True):
        up = _enlarged(grid, 8 * cell)
        masks.append(up[top : top + case.size[0], left : left + case.size[1]])
    shown = torch.stack(masks)
    weights = scores_of(case, case.pixels * shown[:, None]).softmax(1)[:, case.target]
    return torch.einsum("n,nhw->hw", weights.double(), shown.double()) / 64 / 0.5


def _enlarged(grid: torch.Tensor, side: int) -> torch.Tensor:
    """The authors' `resize(grid, side, order=1, mode='reflect')` of scikit-image."""
    from skimage.transform import resize

    found = resize(grid.double().numpy(), (side, side), order=1, mode="reflect", anti_aliasing=False)
    return torch.from_numpy(np.asarray(found)).float()


def occlusion(case: Case) -> torch.Tensor:
    """Zeiler and Fergus' grey square: 1 − p with the square at each place, averaged over the squares on a pixel."""
    low, high, _ = case.classifier.values.like(case.pixels)
    total, count = torch.zeros(case.size), torch.zeros(case.size)
    for top, left in itertools.product(range(0, case.size[0], 56), repeat=2):
        hidden = case.pixels.clone()
        hidden[:, :, top : top + 56, left : left + 56] = (low + high) / 2
        total[top : top + 56, left : left + 56] += 1 - scores_of(case, hidden).softmax(1)[0, case.target]
        count[top : top + 56, left : left + 56] += 1
    return total / count


def attentions(case: Case) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Every block's attention `h n n` with its graph, and the class's logit, of a ViT of timm without fused kernels."""
    blocks: Any = case.network.blocks
    kept: list[torch.Tensor] = []
    handles = [block.attn.attn_drop.register_forward_hook(lambda _m, _g, a: kept.append(a)) for block in blocks]
    fused = [block.attn.fused_attn for block in blocks]
    try:
        for block in blocks:
            block.attn.fused_attn = False
        return kept, case.network(case.pixels.clone().requires_grad_())[0, case.target]
    finally:
        for block, was in zip(blocks, fused, strict=True):
            block.attn.fused_attn = was
        for handle in handles:
            handle.remove()


def rollout(case: Case) -> torch.Tensor:
    """Attention rollout: the product of (mean over heads + I), rows scaled to sum 1; the class token's row."""
    found = torch.eye(attentions(case)[0][0].shape[-1], dtype=torch.float64)
    for weights in attentions(case)[0]:
        mixed = weights[0].detach().double().mean(0) + torch.eye(len(found))
        found = mixed / mixed.sum(-1, keepdim=True) @ found
    return _cells(found)


def chefer(case: Case) -> torch.Tensor:
    """Chefer, Gur, Wolf 2021: R ← R + mean over heads of (∇A ⊙ A)⁺ R; the class token's row."""
    weights, logit = attentions(case)
    slopes = torch.autograd.grad(logit, weights)
    found = torch.eye(weights[0].shape[-1], dtype=torch.float64)
    for a, g in zip(weights, slopes, strict=True):
        found = found + (g[0] * a[0]).detach().double().clamp(min=0).mean(0) @ found
    return _cells(found)


def _cells(flow: torch.Tensor) -> torch.Tensor:
    row = flow[0, 1:]
    side = round(len(row) ** 0.5)
    return row.reshape(side, side)


def i_gos(case: Case) -> torch.Tensor:
    """I-GOS without noise: two iterations, three points, λ = 0.01 and 0.2, a line search from 200; 1 − U(M)."""
    other, mask = wide_blur(case.pixels), torch.ones(28, 28).to(case.pixels)

    def up(m: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(m[None, None], case.size, mode="bilinear", align_corners=True)[0, 0]

    def rough(m: torch.Tensor) -> torch.Tensor:
        variation = (m[1:] - m[:-1]).square().mean() + (m[:, 1:] - m[:, :-1]).square().mean()
        return 0.01 * (1 - m).abs().mean() + 0.2 * variation

    def at(m: torch.Tensor, part: float) -> torch.Tensor:
        seen = part * up(m) * case.pixels + (1 - part * up(m)) * other
        return case.network(seen).softmax(1)[0, case.target]

    for _ in range(2):
        leaf = mask.clone().requires_grad_()
        loss = sum((at(leaf, (s + 1) / 3) for s in range(3)), torch.zeros(())) / 3 + rough(leaf)
        (direction,) = torch.autograd.grad(loss, leaf)
        step, length = 200.0, float(direction.square().sum())
        with torch.no_grad():
            before = float(at(mask, 1.0) + rough(mask))
            while step >= 1e-5:
                tried = (mask - step * direction).clamp(0, 1)
                if float(at(tried, 1.0) + rough(tried)) <= before - max(1e-4 * step * length, 1e-6):
                    mask = tried
                    break
                step *= 0.2
    return 1 - up(mask)
