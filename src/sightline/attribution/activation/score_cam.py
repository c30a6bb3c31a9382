"""Score-CAM: a channel counts as much as the picture seen through it says for the class.

    H_k = n(U(A_k))                               n: stretched to 0…1, U: enlarged to the picture
    C_k = s(x ⊙ H_k) − s(0)                       eq. 6, the channel's increase of confidence
    map = ReLU( Σ_k softmax_k(C) A_k )            eq. 7, algorithm 1

Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", CVPR workshops 2020. The
defaults are the paper's second version. `weight=change` leaves out the softmax over channels; `weight=score` is the
authors' code, with `score=probability`; `order=normalise-first` is torch-cam's. Softmax over logits gives nearly all
weight to a few channels, over probabilities nearly the same to all. A mask hides by multiplying with 0, which is the
mean colour in the units of most networks. Guarantees: a constant added to the score changes nothing. Costs K + 1
forward passes (ResNet-50 has K = 2048); `channels=10` keeps those that vary most (Faster-Score-CAM).

    sightline.explain(model, "dog.jpg", "score-cam(channels=64)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.channel_masks import (
    ChannelMasks,
    Most,
    Order,
    Read,
    Reading,
    Weight,
    changes,
    strongest,
    weights_of,
)
from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class ScoreCam(Weighting):
    """Activations weighted by the score of the picture seen through them."""

    score: Read = "logit"
    weight: Annotated[Weight, Doc("softmax over channels, the plain change of the score, or the score itself")] = (
        "softmax"
    )
    order: Order = "enlarge-first"
    channels: Most = None

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="(K + 2) F + 1 B to the layer",
        paper="Wang et al., Score-CAM, CVPR workshops 2020",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        view = self.look(passes, pixels, target)
        return Foreseen(forward=strongest(view.activations, self.channels).shape[1] + 1, short=1)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        given = pixels.to(passes.device)
        activations = strongest(view.activations, self.channels)
        masks = ChannelMasks(activations, (given.shape[2], given.shape[3]), self.order)
        change, base = changes(given, masks, torch.zeros_like(given), Reading(passes, target, self.score))
        return torch.einsum("bk,bkhw->bhw", weights_of(change, base, self.weight), activations).relu()
