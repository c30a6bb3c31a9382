"""Group-CAM: Grad-CAM's weighted channels in groups, each group weighted by what the picture seen through it says.

    G_l = ReLU( Σ_{k in group l} w_k A_k ),   w_k = mean_ij ∂s/∂A_k(i, j)             eq. 3, 4
    M_l = n(U(G_l))
    α_l = ReLU( p(x ⊙ M_l + x' ⊙ (1 − M_l)) − p(x') )      x': the picture blurred    eq. 6
    map = ReLU( Σ_l α_l G_l )                                                         eq. 7

Zhang, Rao, Yang, "Group-CAM: Group Score-Weighted Visual Explanations for Deep Convolutional Networks", 2021 (arXiv
2103.13859), with groups of neighbouring channels as in the authors' code; its first version also set the lowest 70 % of
each G_l to zero, and added up M_l in place of G_l. Guarantees: with one group it is Grad-CAM, up to a factor, wherever
the picture seen through Grad-CAM's map beats the blurred picture; else it is zero. Costs G + 2 forward passes and 1
backward pass to the layer.

    sightline.explain(model, "dog.jpg", "group-cam(groups=32)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.channel_masks import ChannelMasks, Reading, Value, changes
from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.images.fills import Fill, IgosBlur
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, kw_only=True)
class GroupCam(Weighting):
    """Groups of channels weighted by the probability of the picture seen through them."""

    groups: Annotated[int, Range(1, 1 << 20), Doc("of neighbouring channels")] = 32
    fill: Annotated[Fill, Doc("what is shown where a mask hides")] = IgosBlur()
    score: Annotated[Value, Doc("the probability, or the network's own score")] = "probability"

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="(G + 2) F + 1 B to the layer",
        paper="Zhang, Rao, Yang, Group-CAM, arXiv 2103.13859, 2021",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        view = self.look(passes, pixels, target)
        return Foreseen(forward=len(view.activations.chunk(self.groups, 1)) + 1, short=1)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        given = pixels.to(passes.device)
        weighted = view.gradients.mean((2, 3), keepdim=True) * view.activations
        groups = torch.stack([part.sum(1) for part in weighted.chunk(self.groups, 1)], 1).relu()
        masks = ChannelMasks(groups, (given.shape[2], given.shape[3]))
        fill = self.fill.make(given, passes.classifier.values)
        change, _ = changes(given, masks, fill, Reading(passes, target, self.score))
        return torch.einsum("kb,bkhw->bhw", change.relu(), groups)
