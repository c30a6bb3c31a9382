"""Guided backpropagation: gradients that only pass where a ReLU is on and they are positive.

    at each ReLU    R_before = R_after · 1[u > 0] · 1[R_after > 0]      map = Σ_channels R at the pixels

Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for Simplicity: The All Convolutional Net", ICLR workshop 2015,
section 3.4 and figure 1. u is what the ReLU was given, R the signal that comes back; everything else passes its own
gradient, max-pooling by its switches. A ReLU clipped above (ReLU6) passes nothing where it is clipped. It holds for
modules, shared modules, functions and ReLUs in place alike; other non-linearities (GELU, SiLU, sigmoid, attention) are
refused by name. Guarantees little: the maps are crisp, but hardly change with the class or when the upper layers are
random (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018). Costs one forward pass of its own and one
backward pass.

    sightline.explain(model, "dog.jpg", "guided-backpropagation")
"""

from __future__ import annotations

from dataclasses import dataclass

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Pixels


@dataclass(frozen=True, kw_only=True)
class GuidedBackpropagation(Method):
    """Gradients that only pass a ReLU where it is on and they are positive."""

    aliases = ("guided-backprop",)
    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="1 F + 1 B",
        paper="Springenberg et al., Striving for Simplicity: The All Convolutional Net, ICLR workshop 2015",
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=1, backward=1, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return Maps(values=passes.gradients(pixels, target, rule="guided"))
