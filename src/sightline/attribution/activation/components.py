"""The strongest component of a layer's cells: what they have most in common, as one number a cell."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch

from sightline.attribution.activation.weighting import Weighting, where_negative
from sightline.attribution.base import Cautions
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Pixels

_NO_ACTIVE_SIDE = "no side of their strongest component is the active one, and which one is positive says little"


@dataclass(frozen=True, kw_only=True)
class ActiveComponent(Weighting):
    """What a layer's cells have most in common, whatever the class; a subclass states how that is found."""

    reads_gradients = False

    @abstractmethod
    def component(self, cells: torch.Tensor, layer: str) -> torch.Tensor:
        """One number a cell, of either sign: cells `b n K` float64 of the layer of that name → `b n`."""

    @final
    def cautions(self, view: LayerView) -> Cautions:
        return where_negative(self.name, view, _NO_ACTIVE_SIDE)

    @final
    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        cells = cells_of(view.activations)
        found = active_side_up(self.component(cells, view.layer.name), cells)
        return found.view_as(view.activations[:, 0]).float()


def cells_of(activations: torch.Tensor) -> torch.Tensor:
    """Cells as rows, `b K h w` → `b n K` float64: sums of products of float32 would lose digits."""
    return activations.flatten(2).transpose(1, 2).double()


def projection(cells: torch.Tensor) -> torch.Tensor:
    """Cells `b n K` laid on their first right singular vector: X v₁, `b n`; of either sign.

    The smaller one of X Xᵀ and Xᵀ X is decomposed, picture by picture, so that memory does not grow with the batch.
    """
    return torch.stack([_one(matrix) for matrix in cells])


def strongest(symmetric: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest eigenvalue of a symmetric matrix `n n`, at least 0, and its vector `n`."""
    values, vectors = torch.linalg.eigh(symmetric)
    return values[-1].clamp(min=0), vectors[:, -1]


def active_side_up(component: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """The component `b n` with the sign that makes active cells positive: Σ_cells component · ‖cell‖² ≥ 0.

    A singular vector has no sign of its own, so that any rule must be stated to be repeatable. Where all activations
    are ≥ 0 and not centred, the component is then ≥ 0 everywhere (Perron and Frobenius). Behind a normalisation, as in
    transformers, all cells are about equally active, and the sign says little.
    """
    towards = (component * cells.square().sum(2)).sum(1, keepdim=True)
    return torch.where(towards < 0, -component, component)


def _one(matrix: torch.Tensor) -> torch.Tensor:
    if len(matrix) <= matrix.shape[1]:
        value, vector = strongest(matrix @ matrix.T)
        return value.sqrt() * vector
    return matrix @ strongest(matrix.T @ matrix)[1]
