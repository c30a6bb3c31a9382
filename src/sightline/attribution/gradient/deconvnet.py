"""Deconvnet: the network run backwards, with a ReLU on what comes back.

    at each ReLU    R_before = R_after · 1[R_after > 0]                 map = Σ_channels R at the pixels

Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 2.1: convolutions by their
transposes, max-pooling by its switches, ReLU by a ReLU of the signal, whatever the ReLU was given. The paper starts at
one activation of a feature map (`zeiler-fergus` does); here the signal starts at the class's score. It holds for
modules, shared modules, functions and ReLUs in place alike, clipped above (ReLU6) or not; other non-linearities are
refused by name. Guarantees little: the maps hardly change with the class (Mahendran, Vedaldi, "Salient Deconvolutional
Networks", ECCV 2016). Costs one forward pass of its own and one backward pass.

    sightline.explain(model, "dog.jpg", "deconvnet")
"""

from __future__ import annotations

from dataclasses import dataclass

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Pixels


@dataclass(frozen=True, kw_only=True)
class Deconvnet(Method):
    """The network run backwards, with a ReLU on what comes back."""

    aliases = ("deconvolution",)
    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="1 F + 1 B",
        paper="Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014",
        finds=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=1, backward=1, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return Maps(values=passes.gradients(pixels, target, rule="deconvnet"))
