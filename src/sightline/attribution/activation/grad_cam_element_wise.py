"""Element-wise Grad-CAM: gradient times activation, cell by cell and channel by channel, positive parts only.

    map = Σ_k ReLU( ∂s/∂A_k ⊙ A_k )

Gildenblat and contributors, "pytorch-grad-cam" (GradCAMElementWise), 2021; there is no paper. Unlike in HiResCAM, a
channel that speaks against the class cannot cancel one that speaks for it at the same cell. Guarantees: the map is ≥ 0,
and equals LayerCAM where the activations are ≥ 0. Costs 1 forward pass and 1 backward pass to the layer.

    sightline.explain(model, "dog.jpg", "grad-cam-element-wise")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Pixels


@dataclass(frozen=True, kw_only=True)
class GradCamElementWise(Weighting):
    """The positive parts of activations times their own gradients."""

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F + 1 B to the layer",
        paper="Gildenblat et al., pytorch-grad-cam, 2021",
        signed=False,
    )

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        return (view.gradients * view.activations).relu().sum(1)
