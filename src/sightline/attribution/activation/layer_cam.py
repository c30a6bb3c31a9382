"""LayerCAM: every cell weighted by its own positive gradient, which works at early layers too.

    map = ReLU( Σ_k ReLU(∂s/∂A_k) ⊙ A_k )

Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE TIP 2021. Early layers
give fine but noisy maps, late layers coarse and sure ones; `fused-cam` joins them as the paper does. Guarantees: the
map is ≥ 0. Costs 1 forward pass and 1 backward pass to the layer.

    sightline.explain(model, "dog.jpg", "layer-cam(layer=layer2)")
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
class LayerCam(Weighting):
    """Activations weighted, cell by cell, by their positive gradients."""

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F + 1 B to the layer",
        paper="Jiang et al., LayerCAM, IEEE TIP 2021",
        signed=False,
    )

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        return (view.gradients.relu() * view.activations).sum(1).relu()
