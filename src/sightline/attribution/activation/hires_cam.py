"""HiResCAM: every cell of a layer times its own gradient.

    map = Σ_k ∂s/∂A_k ⊙ A_k

Draelos, Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", 2020.
Grad-CAM averages gradients over the layer first, and may so show cells that the score does not use. The paper keeps the
negative parts; with `relu=true` they are cut off, as libraries do. Guarantees: at a layer that only linear operations
follow, the map sums to the score minus the bias; directly before global average pooling and a linear layer it equals
Grad-CAM without its ReLU. Where a layer's cells go into a normalisation only, as before the last attention of a
transformer, the sum over channels is zero by construction: the normalisation itself is then taken where no layer was
named, and a named layer is refused. Costs 1 forward pass and 1 backward pass to the layer.

    sightline.explain(model, "dog.jpg", "hires-cam")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.errors import LayerError
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels

_NOISE = 1e-4  # sums over channels this small beside their terms are rounding errors


@dataclass(frozen=True, kw_only=True)
class HiResCam(Weighting):
    """Activations times their own gradients."""

    relu: Annotated[bool, Doc("cut off evidence against the class, as libraries do")] = False

    name = "hires-cam"
    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F + 1 B to the layer",
        paper="Draelos and Carin, Use HiResCAM instead of Grad-CAM, 2020",
    )

    def look(self, passes: Passes, pixels: Pixels, target: Target | None) -> LayerView:
        view = super().look(passes, pixels, target)
        if not _cancels(view):
            return view
        after = _normalisation_after(view, passes)
        if self.layer is None and after is not None:
            return passes.layer(pixels, after, target)
        raise LayerError(
            f"all that follows layer {view.layer.name!r} normalises its cells, so that gradient × activation sums to "
            f"zero by construction: use {f'layer {after!r} or ' if after else ''}layer-cam"
        )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        view = Weighting.look(self, passes, pixels, target)
        again = int(_cancels(view) and self.layer is None)
        return Foreseen(forward=again, short=1 + again)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        total = (view.gradients * view.activations).sum(1)
        return total.relu() if self.relu else total


def _cancels(view: LayerView) -> bool:
    """Whether the terms of every cell, where there are any, sum to nothing but rounding errors."""
    terms = view.gradients * view.activations
    size = terms.abs().sum(1)
    return bool(size.any() and terms.shape[1] > 1 and (terms.sum(1).abs() <= _NOISE * size).all())


def _normalisation_after(view: LayerView, passes: Passes) -> str | None:
    """The first normalisation that the network has after the layer."""
    assert passes.network is not None
    modules = list(passes.network.named_modules())
    place = next(place for place, (name, _) in enumerate(modules) if name == view.layer.name)
    later = [(name, module) for name, module in modules[place + 1 :] if not name.startswith(f"{view.layer.name}.")]
    return next((name for name, module in later if "norm" in type(module).__name__.lower()), None)
