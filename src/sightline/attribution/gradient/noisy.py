"""The engine of noise wrappers: mean and variance of a method's maps over noisy copies of the picture.

    e_j = map(x + ε_j),   ε_j ~ N(0, σ²),   σ = spread · (max x − min x)

A wrapper states how its map is made from the moments of e. The noise of one seed is the same for every picture, so that
a picture's map does not depend on its batch mates; sums are kept running, so that no more copies live than fit in a
batch.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, final

import torch

from sightline.attribution.base import Cautions, Maps, Method, Traits, merged
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.gradient.gradient import Gradient
from sightline.models.targets import Target
from sightline.passes.noise import noisy_copies
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range, Seed


@dataclass(eq=False)
class Moments:
    """Running mean and sum of squared deviations of maps (Welford, 1962: no difference of large numbers)."""

    count: int = 0
    mean: torch.Tensor | float = 0.0
    deviations: torch.Tensor | float = 0.0

    def add(self, values: torch.Tensor) -> None:
        """Count one more map."""
        self.count += 1
        before = values - self.mean
        self.mean = self.mean + before / self.count
        self.deviations = self.deviations + before * (values - self.mean)


@dataclass(frozen=True, kw_only=True)
class Noisy(Method):
    """A method's maps over noisy copies; a subclass states what is made of their moments."""

    of: Annotated[Method, Doc("the method that is asked about every noisy copy")] = Gradient()
    samples: Annotated[int, Range(1, 10_000), Doc("noisy copies")] = 50
    spread: Annotated[float, Range(0, 10), Doc("standard deviation of the noise, in parts of the picture's range")] = (
        0.15
    )
    seed: Seed = 0

    own: ClassVar[dict[str, Any]]

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """The wrapped method's traits, but random, n times as dear, and what the subclass says of its own."""
        changed: dict[str, Any] = {"family": "gradient", "complete": False, "deterministic": False} | self.own
        return replace(self.of.traits, cost=f"n × ({self.of.traits.cost})", **changed)

    @abstractmethod
    def combine(self, found: Moments) -> torch.Tensor:
        """The map from the moments of the noisy copies' maps."""

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return self.of.foresee(passes, pixels, target).times(self.samples)

    @final
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        cautions: Cautions = ()
        found = Moments()
        copied = noisy_copies(passes, pixels, samples=self.samples, spread=self.spread, seed=self.seed)
        for copies, noisy in copied:
            maps = self.of.attribute(passes, noisy, target.tiled(copies))
            for copy, values in enumerate(maps.values.unflatten(0, (copies, -1))):
                found.add(values)
                cautions = merged([cautions, maps.cautions[copy * len(pixels) : (copy + 1) * len(pixels)]])
        return Maps(values=self.combine(found), layer=maps.layer, warnings=maps.warnings, cautions=cautions)
