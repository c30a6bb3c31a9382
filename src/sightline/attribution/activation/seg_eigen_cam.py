"""Seg-Eigen-CAM: what activations have most in common where the score is sensitive to them, either way.

    X = |∂s/∂A| ⊙ A as cells × channels, channels' means taken off, = U Σ Vᵀ                   eq. 10, 11
    map = X v₁, turned so that its largest value is its strongest: max ≥ |min|                  eq. 12, 13

Chung, Ying, "Seg-Eigen-CAM: Eigen-Value-Based Visual Explanations for Semantic Segmentation Models", Applied Sciences
15(13), 2025, as in pytorch-grad-cam, for the score of a class. The paper keeps the positive side; here both are there.
Evidence against counts like evidence for: `eigen-grad-cam` tells them apart. Guarantees: scaled with the score; sums to
0. Costs 1 forward pass, 1 backward pass to the layer, and an eigendecomposition of min(cells, channels)³.

    sightline.explain(model, "dog.jpg", "seg-eigen-cam")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.attribution.activation.components import cells_of, projection
from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Pixels


@dataclass(frozen=True, kw_only=True)
class SegEigenCam(Weighting):
    """Activations times the size of their gradients, laid on their strongest component."""

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F + 1 B to the layer",
        paper="Chung and Ying, Seg-Eigen-CAM, Applied Sciences 2025",
    )

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        cells = cells_of(view.gradients).abs() * cells_of(view.activations)
        laid = projection(cells - cells.mean(1, keepdim=True))
        turned = laid.amax(1, keepdim=True) < -laid.amin(1, keepdim=True)
        return torch.where(turned, -laid, laid).view_as(view.activations[:, 0]).float()
