"""Changes made to the training pictures on the way: place, size, light, blur, noise, and parts hidden by a rectangle.

Hidden parts matter twice: the network learns not to hang on a single part, and the fills that occlusion and deletion
use are pictures that it has seen.
"""

from __future__ import annotations

import torch
from torch.nn import functional

REACH = (0.12, 0.5)
"""The sides of a hiding rectangle, as shares of the picture's."""


def augment(pixels: torch.Tensor, bells: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
    """Changed copies of the pixels `b 3 h w` in [0, 1].

    `bells` (`b 4`: left, top, right, bottom) are boxes that may not be hidden, since the answer depends on them.
    """
    changed = hide(pixels, bells, generator)
    changed = moved(changed, generator)
    return relit(changed, generator)


def unchanged(pixels: torch.Tensor, *_: object) -> torch.Tensor:
    """The pixels as they are: for training that must not see other pictures than those given."""
    return pixels


def hide(pixels: torch.Tensor, bells: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
    """One half of the pictures with a rectangle of grey, black, white, their mean colour, a blur or noise."""
    changed = pixels.clone()
    count, _, height, width = pixels.shape
    for index in range(count):
        chance, fill, high, wide, down, right = torch.rand(6, generator=generator).tolist()
        if chance < 0.5:
            continue
        rows, columns = (
            int(side * (REACH[0] + share * (REACH[1] - REACH[0]))) for side, share in ((height, high), (width, wide))
        )
        top, left = int(down * (height - rows)), int(right * (width - columns))
        if bells is not None and _meets(bells[index].tolist(), (left, top, left + columns, top + rows)):
            continue
        part = changed[index, :, top : top + rows, left : left + columns]
        part.copy_(_fill(part, changed[index], int(6 * fill), generator))
    return changed


def _meets(bell: list[int], box: tuple[int, int, int, int]) -> bool:
    return bell[0] < box[2] and box[0] < bell[2] and bell[1] < box[3] and box[1] < bell[3]


def _fill(part: torch.Tensor, picture: torch.Tensor, which: int, generator: torch.Generator) -> torch.Tensor:
    if which < 3:
        return torch.full_like(part, (0.5, 0.0, 1.0)[which])
    if which == 3:
        return picture.mean((1, 2), keepdim=True).expand_as(part)
    if which == 4:
        coarse = functional.adaptive_avg_pool2d(part, 2)[None]
        return functional.interpolate(coarse, size=part.shape[1:], mode="bilinear", align_corners=False)[0]
    return torch.rand(part.shape, generator=generator)


def moved(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirrored by chance, zoomed by 0.85 to 1.2 and shifted by up to 8 %; what enters is a reflection."""
    count = len(pixels)
    zoom = 0.85 + 0.35 * torch.rand(count, generator=generator)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    shift = 0.16 * (2 * torch.rand(count, 2, generator=generator) - 1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = mirror * zoom, zoom, shift
    grid = functional.affine_grid(theta, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def relit(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness, contrast and colour changed; one quarter blurred; noise on one half."""
    count = len(pixels)
    draws = 2 * torch.rand(count, 7, 1, 1, 1, generator=generator) - 1
    level = pixels.mean((1, 2, 3), keepdim=True)
    changed = level + (pixels - level) * (1 + 0.25 * draws[:, 0]) + 0.1 * draws[:, 1]
    grey = changed.mean(1, keepdim=True)
    changed = grey + (changed - grey) * (1 + 0.5 * draws[:, 2])
    changed = changed * (1 + 0.08 * draws[:, 3:6, 0])
    blurred = functional.avg_pool2d(functional.pad(changed, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    changed = torch.where(draws[:, 6] > 0.5, blurred, changed)
    strength = (
        0.06 * torch.rand(count, 1, 1, 1, generator=generator) * (torch.rand(count, 1, 1, 1, generator=generator) < 0.5)
    )
    return (changed + strength * torch.randn(changed.shape, generator=generator)).clamp(0, 1)
