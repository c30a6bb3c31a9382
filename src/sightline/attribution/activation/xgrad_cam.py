"""XGrad-CAM: gradients averaged over a channel's cells by how active each cell is.

    w_k = Σ_ij ( A_k(i, j) / Σ_ab A_k(a, b) ) ∂s/∂A_k(i, j),   map = ReLU( Σ_k w_k A_k )

Fu et al., "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs", BMVC 2020. Of all weightings
by channel it comes nearest to the axioms of sensitivity and conservation. A channel that is silent has the weight 0;
where activations of both signs nearly cancel, the weights are unstable, which is warned of. Guarantees: at a layer of
which the score is a linear function, the map before ReLU sums to the score minus the bias. Costs 1 forward pass and 1
backward pass to the layer. With `relu=false` the negative parts are kept.

    sightline.explain(model, "dog.jpg", "xgrad-cam")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.weighting import Weighting, where_negative
from sightline.attribution.base import Cautions, Needs, Traits
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class XGradCam(Weighting):
    """Activations weighted by their gradients' mean over the active cells."""

    relu: Annotated[bool, Doc("keep only evidence for the class, as in the paper")] = True

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F + 1 B to the layer",
        paper="Fu et al., Axiom-based Grad-CAM, BMVC 2020",
        signed=False,
    )

    def cautions(self, view: LayerView) -> Cautions:
        return where_negative(self.name, view)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        activity = view.activations.sum((2, 3), keepdim=True)
        weights = (view.gradients * view.activations).sum((2, 3), keepdim=True) / torch.where(
            activity == 0, 1, activity
        )
        total = (weights * view.activations).sum(1)
        return total.relu() if self.relu else total
