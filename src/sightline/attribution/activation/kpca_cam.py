"""KPCA-CAM: the strongest component of a layer's cells in the space of a kernel, whatever the class.

    K_ab = k(A_a, A_b) between cells,   K′ = H K H with H = 1 − 1/n,   K′ = Σ_i λ_i u_i u_iᵀ,   map = √λ₁ u₁

Karmani et al., "KPCA-CAM: Visual Explainability of Deep Computer Vision Models using Kernel PCA", 2024; kernel PCA:
Schölkopf, Smola, Müller, 1998. `sigmoid` is tanh(a·b / channels + 1), as in pytorch-grad-cam; `rbf` is
exp(−‖a − b‖² / channels); `linear` gives Eigen-CAM with centred=true. The cells are centred first. Active cells are
positive (Σ_cells map · ‖A‖² ≥ 0); behind a normalisation, as in transformers, all cells are about equally active, and
the sign says little. Guarantees: the map sums to 0 at the layer, so that it has both signs. The class plays no part.
Costs 1 forward pass and an eigendecomposition of cells³: seconds beyond some 1,000 cells.

    sightline.explain(model, "dog.jpg", "kpca-cam(kernel=rbf)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.activation.components import ActiveComponent, strongest
from sightline.attribution.base import Needs, Traits
from sightline.errors import NotSupportedError
from sightline.types import Doc

Kernel = Literal["sigmoid", "rbf", "linear"]

_ROUNDING = 1e-12  # of the squares of activations in float32
_MOST_CELLS = 4096  # the kernel of more would take minutes and hundreds of megabytes


@dataclass(frozen=True, kw_only=True)
class KpcaCam(ActiveComponent):
    """A layer's cells laid on their strongest component in the space of a kernel."""

    kernel: Annotated[Kernel, Doc("how alike two cells are")] = "sigmoid"

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F",
        paper="Karmani et al., KPCA-CAM, 2024",
        class_sensitive=False,
        linear=False,
    )

    def component(self, cells: torch.Tensor, layer: str) -> torch.Tensor:
        if cells.shape[1] > _MOST_CELLS:
            raise NotSupportedError(
                f"kpca-cam compares all pairs of cells, and layer {layer!r} has {cells.shape[1]}: choose a "
                f"layer of at most {_MOST_CELLS}, or use eigen-cam"
            )
        return torch.stack([_component(one, self.kernel) for one in cells])


def _component(cells: torch.Tensor, kernel: Kernel) -> torch.Tensor:
    """√λ₁ u₁ of the centred kernel of one picture's centred cells: `n K` → `n`; 0 where all cells are alike."""
    centred = cells - cells.mean(0)
    if centred.square().sum() <= _ROUNDING * cells.square().sum():
        return cells.new_zeros(len(cells))
    alike = _alike(centred, kernel)
    alike = alike - alike.mean(0) - alike.mean(1, keepdim=True) + alike.mean()
    value, vector = strongest(alike)
    return value.sqrt() * vector


def _alike(cells: torch.Tensor, kernel: Kernel) -> torch.Tensor:
    products, channels = cells @ cells.T, cells.shape[1]
    if kernel == "rbf":
        squares = products.diagonal()
        return torch.exp(-(squares + squares[:, None] - 2 * products) / channels)
    return torch.tanh(products / channels + 1) if kernel == "sigmoid" else products
