"""Maps at the pixels written out from their papers, or from their authors' code: nothing of Sightline in here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from parity.authors_cams import scores_of
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
            assert module.running_mean is not None
            assert module.running_var is not None
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


def hidden(case: Case) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Zeiler and Fergus' grey square, 56 pixels wide, at each place side by side: top, left, and the picture."""
    low, high, _ = case.classifier.values.like(case.pixels)
    for top, left in itertools.product(range(0, case.size[0], 56), repeat=2):
        picture = case.pixels.clone()
        picture[:, :, top : top + 56, left : left + 56] = (low + high) / 2
        yield top, left, picture


def occlusion(case: Case) -> torch.Tensor:
    """1 − p with the square at each place, on the pixels that it hides."""
    total = torch.zeros(case.size)
    for top, left, picture in hidden(case):
        total[top : top + 56, left : left + 56] = 1 - scores_of(case, picture).softmax(1)[0, case.target]
    return total


@torch.no_grad()
def activity(case: Case) -> torch.Tensor:
    """The summed activity of the strongest feature map with the square at each place, figure 7(b): `rows columns`."""
    kept: list[torch.Tensor] = []
    handle = case.module.register_forward_hook(lambda _module, _given, answer: kept.append(answer[0].clamp(min=0)))
    try:
        for picture in (case.pixels, *(picture for _, _, picture in hidden(case))):
            case.network(picture)
    finally:
        handle.remove()
    strongest = kept[0].sum((1, 2)).argmax()
    found = torch.stack([answer[strongest].sum() for answer in kept[1:]])
    side = round(len(found) ** 0.5)
    return found.view(side, side)
