"""Gradient: how the score changes with each pixel.

    map = Σ_channels ∂s/∂x

Simonyan, Vedaldi, Zisserman, "Deep Inside Convolutional Networks", ICLR workshop 2014. The paper draws max_c |∂s/∂x_c|
(`channels=largest`); the signed sum is the default, so that evidence for and against stay apart. Guarantees: for a
linear network the map is its weights. Costs one forward and one backward pass.

    sightline.explain(model, "dog.jpg", "gradient(channels=largest)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from sightline.attribution.base import Maps, Method, Needs, Traits, Wants
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class Gradient(Method):
    """The derivative of the score at every pixel."""

    channels: Annotated[Literal["sum", "largest"], Doc("signed sum, or the paper's largest magnitude")] = "sum"

    aliases = ("saliency",)
    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="1 F + 1 B",
        paper="Simonyan et al., Deep Inside Convolutional Networks, ICLR workshop 2014",
    )

    def wants(self) -> Wants:
        return Wants(gradients=True)

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(backward=1)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        gradient = passes.gradients(pixels, target)
        if self.channels == "largest":
            gradient = gradient.abs().amax(1, keepdim=True)
        return Maps(values=gradient)
