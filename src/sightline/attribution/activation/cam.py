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
from sightline.attribution.foreseen import Foreseen
from sightline.errors import NotSupportedError
from sightline.models.linear_head import LinearHead
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Pixels, Scores


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

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return super().foresee(passes, pixels, target).and_(clean=1)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        head = passes.linear_head(pixels)
        scores = passes.scores(pixels)
        # A network may apply its last ReLU as a function, after the layer: then the head sees the positive part.
        for activations in (view.activations, view.activations.relu()):
            if head is not None and _follow(scores, head, activations, passes.precision):
                return torch.einsum("bk,bkhw->bhw", _rows(head, target), activations)
        raise NotSupportedError(
            f"cam needs global average pooling and one linear layer right after layer {view.layer.name!r}, which "
            f"{passes.classifier.name!r} does not have: use grad-cam"
        )


def _follow(scores: Scores, head: LinearHead, activations: torch.Tensor, precision: str) -> bool:
    """Whether the scores are what the head gives for the means of the activations: the proof that CAM is defined."""
    if head.weight.shape != (scores.shape[1], activations.shape[1]):
        return False
    # bfloat16 keeps 8 bits, so that equal arithmetic agrees only to about 1 %.
    tolerance = 3e-2 if precision == "fast" else 1e-3
    found = head.scores(activations.mean((2, 3)))
    return torch.allclose(found, scores, rtol=tolerance, atol=tolerance * float(scores.abs().max()))


def _rows(head: LinearHead, target: Target) -> torch.Tensor:
    """The weights of what is explained, `b K`: those of a class, for a contrast the difference of two."""
    features = head.weight.T
    each = [target.rows(slice(place, place + 1)).tiled(len(features)) for place in range(len(target))]
    return torch.stack([one.score(features) for one in each])
