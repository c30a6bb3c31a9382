"""Refine-CAM: where the maps of several layers agree.

    M̂_l = (M_l − min M_l) / (max M_l − min M_l) for each layer,   map = Π_l M̂_l

"How to Evaluate and Refine your CAM" (arXiv 2605.14641), in the form that torch-cam gives it: any method's maps, there
and here Grad-CAM++ by default. The product of a coarse and a fine map is the fine map where the coarse one is high.
Without `layers`, the last layer is joined with the last one on each finer grid before it, `grids` of them in all.
Guarantees: values from 0 to 1; 0 wherever a layer's map is at its least. Costs the wrapped method once for each layer.

    sightline.explain(model, "dog.jpg", "refine-cam(layers=(layer3, layer4))")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.fusion import Fusion, over
from sightline.attribution.activation.grad_cam_plus_plus import GradCamPlusPlus
from sightline.attribution.base import Method
from sightline.types import Doc


@dataclass(frozen=True, kw_only=True)
class RefineCam(Fusion):
    """The product of a method's maps at several layers, each on its own scale."""

    of: Annotated[Method, Doc("the method whose maps are joined; it must look at a layer")] = GradCamPlusPlus()

    paper = "How to Evaluate and Refine your CAM, 2026"

    def scale(self, values: torch.Tensor) -> torch.Tensor:
        values = values - values.amin((1, 2, 3), keepdim=True)
        return over(values, values.amax((1, 2, 3), keepdim=True))

    def joined(self, each: torch.Tensor) -> torch.Tensor:
        return each.prod(0)
