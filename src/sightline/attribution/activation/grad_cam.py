"""Grad-CAM: which parts of a layer speak for the class.

    w_k = mean_ij ∂s/∂A_k(i, j)            eq. 1
    map = ReLU( Σ_k w_k A_k )              eq. 2

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017.
Guarantees: directly before global average pooling and a linear layer it equals CAM, up to the number of cells. Costs
one forward pass and one backward pass from the score to the layer. With `relu=false` the negative parts are kept.

    sightline.explain(model, "dog.jpg", "grad-cam(layer=layer3)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class GradCam(Weighting):
    """Activations weighted by their mean gradient."""

    relu: Annotated[bool, Doc("keep only evidence for the class, as in the paper")] = True

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F + 1 B to the layer",
        paper="Selvaraju et al., Grad-CAM, ICCV 2017",
        signed=False,
    )

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        weights = view.gradients.mean((2, 3), keepdim=True)
        total = (weights * view.activations).sum(1)
        return total.relu() if self.relu else total
