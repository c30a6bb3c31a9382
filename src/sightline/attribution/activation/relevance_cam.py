"""Relevance-CAM: a channel counts as much as relevance propagation hands down to it.

    R = relevance at the layer, begun with 1 at the class and −1/N at each of the N − 1 others
    w_k = Σ_ij R_k(i, j)
    map = ReLU( Σ_k w_k A_k )

Lee, Kim, Park, Jung, Kim, "Relevance-CAM: Your Model Already Knows Where to Look", CVPR 2021. Relevance is handed down
as in the authors' code: z-plus everywhere, biases left out (the code counts those of VGG's convolutions, twice).
Beginning against all other classes is contrastive propagation (Gu, Yang, Tresp, ACCV 2018): what all classes share
cancels. The code draws the negative parts, too: `relu=false`. A contrast A-vs-B begins with 1 and −1. Made for early
layers as well, where gradients are noise: `layer=layer2`. Guarantees: a factor on the scores changes nothing. Costs
two forward passes and one backward pass to the layer, and one of each for one picture to find it.

    sightline.explain(model, "dog.jpg", "relevance-cam(layer=layer3)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.relevance.composites import Table
from sightline.models.relevance.layer_rules import ZPlus
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.passes.relevance import one_hot
from sightline.types import Doc, Pixels, Scores

_RULES = Table(convolution=ZPlus(), dense=ZPlus(), bias="ignored", normalisation="handed-on")


@dataclass(frozen=True, kw_only=True)
class RelevanceCam(Weighting):
    """Activations weighted by the relevance of their channels."""

    relu: Annotated[bool, Doc("keep only evidence for the class")] = True

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="3 F + 2 B to the layer, of 2 passes a layer",
        paper="Lee et al., Relevance-CAM: Your Model Already Knows Where to Look, CVPR 2021",
        signed=False,
        linear=False,
    )
    reads_gradients = False

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return super().foresee(passes, pixels, target).and_(forward=2, short=2)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        found = passes.relevance_at(pixels, view.layer.name, target, _RULES, against_the_others)
        weights = found.values.sum((2, 3), keepdim=True)
        total = (weights * view.activations).sum(1)
        return total.relu() if self.relu else total


def against_the_others(scores: Scores, target: Target) -> Scores:
    """1 at the class, −1/N at each other; where the target is a contrast already, what it is: `b N`."""
    own = one_hot(scores, target)
    alone = ~(own < 0).any(1, keepdim=True)
    return torch.where(alone & (own == 0), -1 / scores.shape[1], own)
