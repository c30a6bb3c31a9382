"""Grad-CAM++: channels weighted by their positive gradients, each cell with a share of its own.

    Y = exp(s),   g = ∂s/∂A
    α_k(i, j) = g² / (2 g² + Σ_ab A_k(a, b) g³) = 1 / (2 + g Σ_ab A_k(a, b))                       eq. 19
    w_k = Σ_ij α_k(i, j) ReLU(g_k(i, j)),   map = ReLU( Σ_k w_k A_k )

Chattopadhay et al., "Grad-CAM++: Generalized Gradient-Based Visual Explanations for Deep Convolutional Networks", WACV
2018. The factor exp(s), one number a picture, is left out of the weights: it overflows. `form` takes what libraries
compute under this name: `author`, the shares of a channel sum to one over the cells that count; `mean`, means over the
cells in place of both sums (Xplique); `squared`, no share at all, w_k = Σ_ij g² ReLU(g) (torch-cam). The paper assumes
activations ≥ 0; other layers are warned of. Guarantees: the map is ≥ 0. Costs 1 forward pass and 1 backward pass to the
layer.

    sightline.explain(model, "dog.jpg", "grad-cam-plus-plus")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.activation.weighting import Weighting, where_negative
from sightline.attribution.base import Cautions, Needs, Traits
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels

Form = Literal["paper", "author", "mean", "squared"]


@dataclass(frozen=True, kw_only=True)
class GradCamPlusPlus(Weighting):
    """Activations weighted by their positive gradients, cell by cell."""

    form: Annotated[Form, Doc("the paper's, its authors' code's, Xplique's or torch-cam's formula")] = "paper"

    aliases = ("grad-cam-pp",)
    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F + 1 B to the layer",
        paper="Chattopadhay et al., Grad-CAM++, WACV 2018",
        signed=False,
        linear=False,
    )

    def cautions(self, view: LayerView) -> Cautions:
        return where_negative(self.name, view)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        positive = view.gradients.relu()
        if self.form == "squared":
            weights = (positive**3).sum((2, 3), keepdim=True)
        else:
            total = (view.activations.mean if self.form == "mean" else view.activations.sum)((2, 3), keepdim=True)
            shares = cell_shares(positive, positive * total)
            if self.form == "author":
                whole = shares.sum((2, 3), keepdim=True)
                shares = shares / torch.where(whole == 0, 1, whole)
            summed = (shares * positive).sum((2, 3), keepdim=True)
            weights = summed / positive[0, 0].numel() if self.form == "mean" else summed
        return (weights * view.activations).sum(1).relu()


def cell_shares(positive: torch.Tensor, third: torch.Tensor) -> torch.Tensor:
    """α where the gradient is positive, else 0, `b K h w`: 1 / (2 + third), which is 1 where that is undefined."""
    below = 2 + third
    return torch.where(positive > 0, 1 / torch.where(below == 0, 1, below), 0)
