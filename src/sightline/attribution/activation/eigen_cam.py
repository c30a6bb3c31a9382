"""Eigen-CAM: what a layer's cells have most in common, whatever the class.

    A as cells × channels = U Σ Vᵀ,   map = A v₁

Muhammad, Yeasin, "Eigen-CAM: Class Activation Map using Principal Components", IJCNN 2020. A singular vector has no
sign of its own: here active cells are positive (Σ_cells map · ‖A‖² ≥ 0). With `centred=true` the channels' means are
taken off first, as pytorch-grad-cam does: the map is then the first principal component and has both signs. Guarantees:
no other direction holds more of the layer's energy; activations ≥ 0 give a map ≥ 0 unless centred. The class plays no
part. Costs 1 forward pass and an eigendecomposition of min(cells, channels)³.

    sightline.explain(model, "dog.jpg", "eigen-cam")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.components import NO_ACTIVE_SIDE, active_side_up, cells_of, projection
from sightline.attribution.activation.weighting import Weighting, where_negative
from sightline.attribution.base import Cautions, Needs, Traits
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class EigenCam(Weighting):
    """A layer's activations laid on their strongest component."""

    centred: Annotated[bool, Doc("take off the channels' means first, as pytorch-grad-cam does")] = False

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F",
        paper="Muhammad and Yeasin, Eigen-CAM, IJCNN 2020",
        class_sensitive=False,
        linear=False,
    )
    reads_gradients = False

    def cautions(self, view: LayerView) -> Cautions:
        return where_negative(self.name, view, NO_ACTIVE_SIDE)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        cells = cells_of(view.activations)
        laid = projection(cells - cells.mean(1, keepdim=True) if self.centred else cells)
        return active_side_up(laid, cells).view_as(view.activations[:, 0]).float()
