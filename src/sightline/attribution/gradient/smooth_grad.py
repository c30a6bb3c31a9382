"""SmoothGrad: the mean map over noisy copies of the picture.

    map = 1/n Σ_j map(x + ε_j),   ε_j ~ N(0, σ²),   σ = spread · (max x − min x)

Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017. A wrapper of any method:
`smooth-grad(of=grad-cam)`. The noise of one seed is the same for every picture, so that a picture's map does not depend
on its batch mates. Costs n times the passes of the smoothed method.

    sightline.explain(model, "dog.jpg", "smooth-grad(of=gradient, samples=25)")
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch

from sightline.attribution.base import Maps, Method, Traits
from sightline.attribution.gradient.gradient import Gradient
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, kw_only=True)
class SmoothGrad(Method):
    """The mean map of a method over noisy copies of the picture."""

    of: Annotated[Method, Doc("the method that is smoothed")] = Gradient()
    samples: Annotated[int, Range(1, 10_000), Doc("noisy copies")] = 50
    spread: Annotated[float, Range(0, 10), Doc("standard deviation of the noise, in parts of the picture's range")] = (
        0.15
    )
    seed: Annotated[int, Range(0, 2**63 - 1), Doc("of the noise")] = 0

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """The smoothed method's own, but random and n times as dear."""
        return replace(
            self.of.traits,
            family="gradient",
            cost=f"n × ({self.of.traits.cost})",
            paper="Smilkov et al., SmoothGrad: removing noise by adding noise, 2017",
            complete=False,
            deterministic=False,
        )

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        sigma = self.spread * (given.amax((1, 2, 3)) - given.amin((1, 2, 3)))
        generator = torch.Generator().manual_seed(self.seed)
        total, layer = None, None
        at_once = max(1, passes.pictures_at_once(given, gradients=True) // len(given))
        for start in range(0, self.samples, at_once):
            copies = min(at_once, self.samples - start)
            # Drawn copy by copy: the noise of a seed does not depend on how many copies fit in a batch.
            noise = torch.stack([torch.randn(given.shape[1:], generator=generator) for _ in range(copies)])
            noisy = given + sigma[:, None, None, None] * noise.to(given)[:, None]
            maps = self.of.attribute(passes, noisy.flatten(0, 1), target.tiled(copies))
            part = maps.values.unflatten(0, (copies, -1)).sum(0)
            total, layer = part if total is None else total + part, maps.layer
        assert total is not None
        return Maps(values=total / self.samples, layer=layer)
