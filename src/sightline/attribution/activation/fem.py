"""FEM: channels weighted by how much of the picture makes them fire strongly, whatever the class.

    w_k = mean_ij [ A_k(i, j) > μ_k + κ σ_k ],   map = Σ_k w_k A_k,   κ = 2

μ and σ are a channel's mean and standard deviation over its cells (with n in the denominator). Fuad et al., "Features
Understanding in 3D CNNs for Actions Recognition in Video", IPTA 2020 (Feature Explanation Method). Guarantees:
activations ≥ 0 give a map ≥ 0. The class plays no part. On n cells nothing exceeds √(n − 1) deviations, so that a layer
of 5 cells or fewer gives a map of zeros. Costs 1 forward pass.

    sightline.explain(model, "dog.jpg", "fem(deviations=1)")
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
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, kw_only=True)
class Fem(Weighting):
    """Activations weighted by how often they stand out of their channel."""

    deviations: Annotated[float, Range(0, 100), Doc("how far a cell must stand out, in standard deviations")] = 2.0

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F",
        paper="Fuad et al., Features Understanding in 3D CNNs for Actions Recognition in Video, IPTA 2020",
        class_sensitive=False,
        linear=False,
    )
    reads_gradients = False

    def cautions(self, view: LayerView) -> Cautions:
        return where_negative(self.name, view, "what it shows as negative may be what stands out")

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        deviation, mean = torch.std_mean(view.activations, (2, 3), correction=0, keepdim=True)
        weights = (view.activations > mean + self.deviations * deviation).float().mean((2, 3), keepdim=True)
        return (weights * view.activations).sum(1)
