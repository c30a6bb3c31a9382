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

from sightline.attribution.activation.components import ActiveComponent, projection
from sightline.attribution.base import Needs, Traits
from sightline.types import Doc


@dataclass(frozen=True, kw_only=True)
class EigenCam(ActiveComponent):
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

    def component(self, cells: torch.Tensor, layer: str) -> torch.Tensor:
        return projection(cells - cells.mean(1, keepdim=True) if self.centred else cells)
