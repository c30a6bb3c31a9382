"""Hidden pixels imputed from those around them, as ROAD does it: every one the weighted mean of its neighbours.

    x_i = Σ_j w_ij x_j / Σ_j w_ij     for every hidden pixel i, over its neighbours j inside the picture
    w_ij = 1/6 beside, above and below, 1/12 across the corner

Y. Rong, T. Leemann, V. Borisov, G. Kasneci and E. Kasneci, "A Consistent and Efficient Evaluation Strategy for
Attribution Methods", ICML 2022, arXiv 2202.00449 (noisy linear imputation, here without its noise), and the authors'
code. With h the hidden pixels, k the known ones and D the sums of weights, it is one linear system,
(D − W)_hh x_h = W_hk x_k, symmetric and positive definite as long as one pixel is known.

The authors factorise it picture by picture. Here all pictures are solved at once by conjugate gradients (M. Hestenes
and E. Stiefel, 1952), W being the filter (1 2 1)ᵀ(1 2 1) less its middle, preconditioned by a cycle of multigrid
(`multigrid.py`). A step makes the error some seven times smaller whatever the picture's size and the mask's shape.
Guarantees: no value beyond those of the known pixels; a flat picture stays flat; 0.0001 of the known values' range at
most from the exact solution; what a picture gets does not depend on its batch mates.
"""

from __future__ import annotations

import torch

from sightline.errors import NonFiniteError, UsageError
from sightline.images.multigrid import Cycle, Picture

_CLOSE = 1e-4
"""Below this part of the range the next correction is the last: made, it leaves some third of itself."""

_MOST_STEPS = 60  # four or five are needed
_IN_CACHE = 1 << 20  # values at once on a processor, whose own memory holds no more


def impute(pixels: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """The pictures with their hidden pixels imputed, `b c h w`; what is known stays as it is, to the bit.

    Args:
        pixels: `b c h w`, in any units: the imputation is linear.
        hidden: `b h w` booleans, True where a pixel is to be imputed.

    Raises:
        UsageError: the shapes do not fit, or a picture has no known pixel.
        NonFiniteError: a known pixel is NaN or infinite.
    """
    _check(pixels, hidden)
    each = pixels[0].numel() if len(pixels) else 1
    at_once = max(1, _IN_CACHE // each) if pixels.device.type == "cpu" else max(1, len(pixels))
    with torch.no_grad():
        parts = zip(pixels.split(at_once), hidden.split(at_once), strict=True)
        return torch.cat([_imputed(part, where[:, None]) for part, where in parts])


def _imputed(pixels: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """The same of checked pictures, all at once; hidden is `b 1 h w`."""
    work = pixels if pixels.dtype == torch.float64 else pixels.to(torch.float32)
    low = work.masked_fill(hidden, torch.inf).amin((2, 3), keepdim=True)
    high = work.masked_fill(hidden, -torch.inf).amax((2, 3), keepdim=True)
    if not torch.isfinite(high - low).all():
        raise NonFiniteError("the pixels to impute from hold NaN or infinity")
    known = work.masked_fill(hidden, 0).sum((2, 3), keepdim=True)
    middle = known / (~hidden).sum((2, 3), keepdim=True)
    middle = torch.minimum(torch.maximum(middle, low), high)  # of a flat picture exactly its value
    span = (high - low).amax(1, keepdim=True).clamp_min(_tiny(work))
    found = _solved(((work - middle) / span).masked_fill_(hidden, 0), hidden.to(work))
    found = torch.minimum(torch.maximum(found.mul_(span).add_(middle), low), high)
    return torch.where(hidden, found, work).to(pixels.dtype)


def _check(pixels: torch.Tensor, hidden: torch.Tensor) -> None:
    if pixels.ndim != 4 or hidden.shape != (len(pixels), *pixels.shape[2:]) or hidden.dtype != torch.bool:
        raise UsageError(
            f"pixels {tuple(pixels.shape)} came with hidden {tuple(hidden.shape)} {hidden.dtype}: pixels are b c h w, "
            "hidden b h w booleans"
        )
    if bool(hidden.flatten(1).all(1).any()):
        raise UsageError("every pixel of a picture is hidden: there is nothing to impute it from")


def _solved(values: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Conjugate gradients from 0: `values` with the hidden pixels solved for.

    Args:
        values: `b c h w`, 0 where hidden, of a range of 1.
        hidden: `b 1 h w`, 1 where hidden and 0 elsewhere.
    """
    picture = Picture(hidden)
    cycle = Cycle(picture)
    found, residual, way = values.clone(), -picture.apply(values), torch.zeros_like(values)
    strength = torch.ones((), device=values.device, dtype=values.dtype)
    for _ in range(_MOST_STEPS):
        correction = cycle(residual)
        moving = torch.maximum(correction.amax((2, 3), keepdim=True), -correction.amin((2, 3), keepdim=True)) > _CLOSE
        if not bool(moving.any()):
            return found.add_(correction)
        before, strength = strength, _dot(residual, correction)
        torch.addcmul(correction, way, strength / before.clamp_min(_tiny(before)), out=way)
        change = picture.apply(way)
        # A channel that is solved stands still while others move, so that it does not depend on them.
        step = torch.where(moving, strength / _dot(way, change).clamp_min(_tiny(change)), 0)
        found.addcmul_(way, step)
        residual.addcmul_(change, -step)
    raise NonFiniteError(f"the imputation did not settle in {_MOST_STEPS} steps: please report the picture and the map")


def _dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """`b c 1 1`: of each channel by itself."""
    return torch.linalg.vecdot(one.flatten(2), other.flatten(2))[..., None, None]


def _tiny(values: torch.Tensor) -> float:
    return torch.finfo(values.dtype).tiny
