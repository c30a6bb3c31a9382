"""CAM: the class's weights in the last linear layer, laid over the last activations.

    map = Σ_k W_ck A_k                     eq. 2,    mean(map) + b_c = score

Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016. Guarantees: the mean of the map at
the layer, plus the bias, is the score. Only defined where global average pooling and one linear layer follow the layer;
every call proves that by computing the scores from them, and refuses other networks. Costs one forward pass.

    sightline.explain(model, "dog.jpg", "cam")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.errors import NotSupportedError
from sightline.models.linear_head import LinearHead
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Pixels


@dataclass(frozen=True, kw_only=True)
class Cam(Weighting):
    """Activations weighted by the last linear layer."""

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="1 F",
        paper="Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016",
    )
    reads_gradients = False

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        head = self._head(view, passes, pixels)
        rows = head.weight[target.index.to(head.weight.device)]
        if target.against is not None:
            rows = rows - head.weight[target.against.to(head.weight.device)]
        return torch.einsum("bk,bkhw->bhw", rows, view.activations)

    def _head(self, view: LayerView, passes: Passes, pixels: Pixels) -> LinearHead:
        """The linear head, proved: the scores must follow from the layer's means."""
        head = passes.linear_head(pixels)
        features = view.activations.mean((2, 3))
        scores = passes.scores(pixels)
        # bfloat16 keeps 8 bits, so that equal arithmetic agrees only to about 1 %.
        tolerance = 3e-2 if passes.precision == "fast" else 1e-3
        if head is None or head.weight.shape != (scores.shape[1], features.shape[1]):
            proved = False
        else:
            proved = torch.allclose(
                head.scores(features), scores, rtol=tolerance, atol=tolerance * float(scores.abs().max())
            )
        if head is None or not proved:
            raise NotSupportedError(
                f"cam needs global average pooling and one linear layer right after layer {view.layer.name!r}, which "
                f"{passes.classifier.name!r} does not have: use grad-cam"
            )
        return head
