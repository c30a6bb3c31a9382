"""saliency (the authors of SmoothGrad, XRAI, Blur IG and Guided IG): pictures as arrays `h w c`, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import saliency.core as saliency
import torch
from numpy.typing import NDArray

from parity.injected import noise_of, replaced
from parity.rows import Case, Row, rows_of
from sightline.attribution.gradient.xrai import regions_of
from sightline.passes.passes import Passes

row = rows_of("saliency")
Array = NDArray[Any]
ENDS = "saliency's mean takes in both ends of the way undivided; ours Gauss and Legendre's points"
LEFT = (
    "saliency takes left ends of the steps, a derivative over 0.01 pixels and zeros beyond the edges; ours middles, "
    "differences and mirrored edges"
)
REGIONS = "saliency is given our integrated gradients and our segments, since it cuts with thresholds of its own"
NOISE = "the same noise in both"
FLOAT = "saliency walks in float64, ours too; the gradients of both are float32"


def answers(case: Case) -> Callable[..., dict[str, Array]]:
    """The function that saliency asks for gradients and scores."""

    def call(pictures: Array, **_options: Any) -> dict[str, Array]:
        leaf = torch.from_numpy(np.asarray(pictures)).float().permute(0, 3, 1, 2).contiguous().requires_grad_()
        score = case.network(leaf)[:, case.target]
        (gradient,) = torch.autograd.grad(score.sum(), leaf)
        return {
            saliency.INPUT_OUTPUT_GRADIENTS: gradient.permute(0, 2, 3, 1).numpy(),
            saliency.OUTPUT_LAYER_VALUES: score.detach().numpy(),
        }

    return call


def picture(pixels: torch.Tensor) -> Array:
    """`1 3 h w` → `h w 3`."""
    return pixels[0].permute(1, 2, 0).contiguous().numpy()


def mask(name: str, case: Case, **options: Any) -> torch.Tensor:
    """What a method of saliency gives, `3 h w`."""
    # numpy has renamed the argument of quantile that Guided IG uses.
    with replaced((np, "quantile", _quantile)):
        found = getattr(saliency, name)().GetMask(picture(case.pixels), answers(case), **options)
    return torch.from_numpy(np.asarray(found)).permute(2, 0, 1)


_QUANTILE = np.quantile


def _quantile(values: Array, part: float, interpolation: str = "linear") -> Any:
    return _QUANTILE(values, part, method=interpolation)  # type: ignore[call-overload]


def xrai(case: Case) -> torch.Tensor:
    """XRAI over our attribution and our segments; `h w`."""
    ways = [case.ours(f"integrated-gradients(steps=8, baseline={fill})") for fill in ("black", "white")]
    base = torch.stack(ways).mean(0).permute(1, 2, 0).double().numpy()
    cut = list(regions_of(case.pixels, Passes(case.classifier)))
    found = saliency.XRAI().GetMask(picture(case.pixels), answers(case), segments=cut, base_attribution=base)
    return torch.from_numpy(np.asarray(found))


def smooth(case: Case, spec: str, magnitude: bool) -> torch.Tensor:
    """GetSmoothedMask over gradients, with our noise."""
    noise = iter(noise_of(spec, case.pixels))
    with replaced((np.random, "normal", lambda _mean, _deviation, _shape: picture(next(noise)[None]))):
        found = saliency.GradientSaliency().GetSmoothedMask(
            picture(case.pixels), answers(case), nsamples=8, magnitude=magnitude
        )
    return torch.from_numpy(found).permute(2, 0, 1)


def smoothed(name: str, magnitude: bool) -> Row:
    """A mean over noisy copies."""
    spec = f"{name}(samples=8, seed=3)"
    call = f"GetSmoothedMask(magnitude={magnitude})"
    return row(spec, call, partial(smooth, spec=spec, magnitude=magnitude), why=NOISE)


ROWS = [
    smoothed("smooth-grad", False),
    smoothed("smooth-grad-squared", True),
    row(
        "integrated-gradients(steps=25, baseline=mean)",
        "IntegratedGradients",
        partial(mask, "IntegratedGradients", batch_size=5),
        tolerance=None,
        why=ENDS,
    ),
    row(
        "guided-ig(steps=10, baseline=mean, max_distance=0.1)",
        "GuidedIG(x_steps=10, max_dist=0.1)",
        partial(mask, "GuidedIG", x_steps=10, max_dist=0.1),
        why=FLOAT,
    ),
    row("xrai(steps=8)", "XRAI", xrai, why=REGIONS),
    row(
        "blur-ig(steps=40, largest=20)",
        "BlurIG(steps=40, max_sigma=20)",
        partial(mask, "BlurIG", steps=40, max_sigma=20),
        tolerance=None,
        why=LEFT,
    ),
]
