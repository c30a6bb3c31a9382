"""LayerCAM's fusion: what any of several layers is sure of.

    M̂_l = tanh( γ M_l / max M_l ) for each layer,   map = max_l M̂_l,   γ = 2                          eq. 8, 9

Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE TIP 2021. The paper lifts
the maps of early layers only; here, as in torch-cam, those of all. `join=mean` averages over layers, as
pytorch-grad-cam does (with `gamma=0`, which leaves tanh out). Only evidence for the class is joined. Without `layers`,
the last layer is joined with the last one on each finer grid before it, `grids` of them in all. Guarantees: values from
0 to 1, whatever the layers' own scales. Costs the wrapped method once for each layer.

    sightline.explain(model, "dog.jpg", "fused-cam(of=layer-cam, layers=(layer2, layer3, layer4))")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.activation.fusion import Fusion, over
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class FusedCam(Fusion):
    """The largest of a method's maps at several layers, each on its own scale."""

    join: Annotated[Literal["max", "mean"], Doc("how the maps become one")] = "max"
    gamma: Annotated[float, Range(0, 100), Doc("how far weak places are lifted; 0 leaves them")] = 2.0

    paper = "Jiang et al., LayerCAM, IEEE TIP 2021"

    def scale(self, values: torch.Tensor) -> torch.Tensor:
        values = values.relu()
        values = over(values, values.amax((1, 2, 3), keepdim=True))
        return values if self.gamma == 0 else torch.tanh(self.gamma * values)

    def joined(self, each: torch.Tensor) -> torch.Tensor:
        return each.amax(0) if self.join == "max" else each.mean(0)
