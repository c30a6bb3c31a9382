"""Guided Grad-CAM: a sharp map that is the same for every class, times a coarse one that knows the class.

    map(pixel) = U(Grad-CAM)(pixel) · guided backpropagation(pixel)          section 3.2, figure 2

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017. U
enlarges bilinearly (captum takes the nearest cell unless told otherwise). Both factors are values, so that any two
methods can be multiplied: `guided-grad-cam(of=gradient, by=layer-cam)`. Guarantees: zero where either factor is.
The rules of guided backpropagation hold: networks with other non-linearities than ReLU are refused by name. Its map
hardly changes when the upper layers are random (Adebayo et al., NeurIPS 2018). Costs what its two methods cost.

    sightline.explain(model, "dog.jpg", "guided-grad-cam")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.attribution.activation.grad_cam import GradCam
from sightline.attribution.base import Maps, Method, Needs, Traits, Wants, merged
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.gradient.guided_backpropagation import GuidedBackpropagation
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels

_MOST_FIRST = (Needs.LAYER, Needs.GRADIENTS, Needs.SCORES)


@dataclass(frozen=True, kw_only=True)
class GuidedGradCam(Method):
    """One method's map times another's."""

    of: Annotated[Method, Doc("the sharp map")] = GuidedBackpropagation()
    by: Annotated[Method, Doc("the map it is weighted by")] = GradCam()

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """What both factors have in common, at the cost of both."""
        of, by = self.of.traits, self.by.traits
        return Traits(
            family="combined",
            needs=next(needs for needs in _MOST_FIRST if needs in (of.needs, by.needs)),
            cost=f"{of.cost} + {by.cost}",
            paper="Selvaraju et al., Grad-CAM, ICCV 2017",
            signed=of.signed or by.signed,
            deterministic=of.deterministic and by.deterministic,
            class_sensitive=of.class_sensitive or by.class_sensitive,
            finds=of.finds and by.finds,
            linear=False,
        )

    def wants(self) -> Wants:
        of, by = self.of.wants(), self.by.wants()
        return Wants(gradients=of.gradients or by.gradients, layers=of.layers + by.layers)

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return self.by.foresee(passes, pixels, target) + self.of.foresee(passes, pixels, target)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        by = self.by.attribute(passes, pixels, target)
        of = self.of.attribute(passes, pixels, target)
        height, width = pixels.shape[-2:]
        sharp = of.values if of.values.shape[-2:] == (height, width) else of.at_pixels(height, width)[:, None]
        warnings = tuple(dict.fromkeys(of.warnings + by.warnings))
        return Maps(
            values=sharp * by.at_pixels(height, width)[:, None],
            layer=by.layer or of.layer,
            warnings=warnings,
            cautions=merged([of.cautions, by.cautions]),
        )
