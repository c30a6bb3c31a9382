"""DeepLIFT (Rescale): what each pixel's difference from a reference adds to the difference of the scores.

    map = Σ_channels (x − x′) · m,     at each non-linearity   m_before = m_after · Δoutput / Δinput      section 3.5.1

Shrikumar, Greenside, Kundaje, "Learning Important Features Through Propagating Activation Differences", ICML 2017. Δ is
the difference between the network at x and at the reference x′ (`baseline`), linear maps pass m by their transposes; at
a max-pooling what the largest of x has more than that of x′ belongs to its place in x, what it has less to the place in
x′, as in captum (where windows overlap, contributions to one place are added up; captum keeps one, and forgets its rule
where the pooling directly follows a non-linearity). Defined for every function of one number, so for GELU, SiLU,
sigmoid and tanh too; products of two parts of the network (attention, gates), softmax and layer normalisation are
refused by name. Guarantees completeness: the map sums to s(x) − s(x′), which is checked at every call; a network where
more than 0.1 % of Σ|map| is missing is refused. Costs two forward and two backward passes (picture and reference in one
batch).

    sightline.explain(model, "dog.jpg", "deep-lift(baseline=blur)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.gradient.completeness import complete
from sightline.errors import NotSupportedError
from sightline.images.fills import Black, Fill
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels

_TOLERATED = {"float32": 1e-3, "fast": 5e-2}
"""Part of Σ |map| that may be missing."""


@dataclass(frozen=True, kw_only=True)
class DeepLift(Method):
    """What each pixel's difference from a reference adds to the score."""

    baseline: Annotated[Fill, Doc("the reference")] = Black()

    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="2 F + 2 B",
        paper="Shrikumar et al., Learning Important Features Through Propagating Activation Differences, ICML 2017",
        complete=True,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=2, backward=2, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        start = self.baseline.make(given, passes.classifier.values)
        factors, difference = passes.multipliers(given, start, target)
        values = (given - start).float() * factors
        maps = complete(values, difference)
        error = maps.numbers["completeness_error"]
        # Parts that cancel lose digits, so what is missing is compared with the parts, not with their sum.
        scale = torch.maximum(values.abs().sum((1, 2, 3)), difference.abs())
        if (error.abs() > _TOLERATED[passes.precision] * scale).any():
            raise NotSupportedError(
                f"deep-lift does not add up on {passes.classifier.name!r}: off by {float(error.abs().max()):.3g} of a "
                f"difference of scores of {float(difference.abs().max()):.3g}; the network does something to its "
                "activations that the rule cannot follow: use integrated-gradients"
            )
        return maps
