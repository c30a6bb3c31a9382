"""Input × gradient: the gradient, times how far each pixel is from nothing.

    map = (x − x′) ⊙ ∂s/∂x

Shrikumar, Greenside, Shcherbina, Kundaje, "Not Just a Black Box", 2016; with x′ = 0 in the network's units, as there
and in other libraries (the mean colour of a normalised network), or any `baseline`. Guarantees: for a linear network
the map sums to s(x) − s(x′); for a piecewise linear network without biases and x′ = 0 it sums to s(x), and equals
layer-wise relevance propagation with ε → 0 and DeepLIFT. In general nothing holds the sum: integrated gradients do.
Costs one forward and one backward pass.

    sightline.explain(model, "dog.jpg", "input-times-gradient(baseline=blur)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.attribution.base import Maps, Method, Needs, Traits, Wants
from sightline.attribution.foreseen import Foreseen
from sightline.images.fills import Fill
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class InputTimesGradient(Method):
    """The derivative of the score at every pixel, times the pixel."""

    baseline: Annotated[Fill | None, Doc("what pixels are counted from; 0 in the network's units when none")] = None

    aliases = ("gradient-x-input", "input-x-gradient", "gradient-times-input", "grad-x-input")
    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="1 F + 1 B",
        paper="Shrikumar et al., Not Just a Black Box: Learning Important Features Through Propagating Activation "
        "Differences, 2016",
    )

    def wants(self) -> Wants:
        return Wants(gradients=True)

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(backward=1)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        if self.baseline is not None:
            given = given - self.baseline.make(given, passes.classifier.values)
        return Maps(values=given.float() * passes.gradients(pixels, target))
