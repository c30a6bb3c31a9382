"""EigenGrad-CAM: what gradient times activation has most in common over a layer's cells.

    X = ∂s/∂A ⊙ A as cells × channels = U Σ Vᵀ,   map = X v₁

Gildenblat and contributors, "pytorch-grad-cam" (EigenGradCAM), 2021; there is no paper. Eigen-CAM made class-sensitive.
The sign is that of the evidence: Σ_cells map · Σ_k X ≥ 0, so that cells which speak for the class are positive (the
library leaves the sign to chance). With `centred=true` the channels' means are taken off first, as the library does.
Guarantees: scaled with the score; no other direction holds more of X's energy. Costs 1 forward pass, 1 backward pass to
the layer, and an eigendecomposition of min(cells, channels)³.

    sightline.explain(model, "dog.jpg", "eigen-grad-cam")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.components import cells_of, projection
from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class EigenGradCam(Weighting):
    """Gradient times activation laid on its strongest component."""

    centred: Annotated[bool, Doc("take off the channels' means first, as pytorch-grad-cam does")] = False

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F + 1 B to the layer",
        paper="Gildenblat et al., pytorch-grad-cam, 2021",
    )

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        cells = cells_of(view.gradients) * cells_of(view.activations)
        laid = projection(cells - cells.mean(1, keepdim=True) if self.centred else cells)
        towards = (laid * cells.sum(2)).sum(1, keepdim=True)
        return torch.where(towards < 0, -laid, laid).view_as(view.activations[:, 0]).float()
