"""The engine of class activation maps: a method is a weighting of a layer's activations.

map = Σ_k weight_k ⊙ activation_k at the layer, negative parts cut off where the method's paper says so, then enlarged
bilinearly to the picture.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, final

import torch

from sightline.attribution.base import Cautions, Maps, Method, Wants, where
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels

_UNSTABLE = "its weights may be unstable there; those of hires-cam and layer-cam are not"


@dataclass(frozen=True, kw_only=True)
class Weighting(Method):
    """A class activation map; a subclass states how channels are weighted."""

    layer: Annotated[str | None, Doc("name of the layer; chosen and reported when left out")] = None

    reads_gradients = True

    @abstractmethod
    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        """The map at the layer, `b h w`, from its activations and gradients `b K h w`."""

    def look(self, passes: Passes, pixels: Pixels, target: Target | None) -> LayerView:
        """The layer that is named, the network's own, or the one that suits best."""
        return passes.layer(pixels, self.layer if self.layer is not None else passes.classifier.layer, target)

    def cautions(self, view: LayerView) -> Cautions:
        """What the user must know of each picture's map because of what this layer is like."""
        return ()

    def wants(self) -> Wants:
        return Wants(layers=(self.layer,))

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(short=int(self.reads_gradients), untold=int(not self.reads_gradients and self.layer is None))

    @final
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        view = self.look(passes, pixels, target if self.reads_gradients else None)
        values = self.weigh(view, passes, pixels, target)[:, None]
        return Maps(values=values, layer=view.layer.name, cautions=self.cautions(view))


def where_negative(method: str, view: LayerView, so: str = _UNSTABLE) -> Cautions:
    """The caution of a formula that is derived for activations that are not negative, and what comes of it."""
    return where(
        (view.activations < 0).flatten(1).any(1),
        f"{method} is derived for activations that are not negative, and those of layer {view.layer.name!r} are of "
        f"both signs: {so}",
    )
