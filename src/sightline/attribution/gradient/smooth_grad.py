"""SmoothGrad: the mean map over noisy copies of the picture.

    map = 1/n Σ_j map(x + ε_j),   ε_j ~ N(0, σ²),   σ = spread · (max x − min x)

Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017. A wrapper of any method:
`smooth-grad(of=grad-cam)`. The noise of one seed is the same for every picture, so that a picture's map does not depend
on its batch mates. Costs n times the passes of the smoothed method.

    sightline.explain(model, "dog.jpg", "smooth-grad(of=gradient, samples=25)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from sightline.attribution.gradient.noisy import Moments, Noisy


@dataclass(frozen=True, kw_only=True)
class SmoothGrad(Noisy):
    """The mean map of a method over noisy copies of the picture."""

    own: ClassVar[dict[str, Any]] = {"paper": "Smilkov et al., SmoothGrad: removing noise by adding noise, 2017"}

    def combine(self, found: Moments) -> torch.Tensor:
        return torch.as_tensor(found.mean)
