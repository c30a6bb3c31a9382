"""IS-CAM: Score-CAM whose masks are faded in, so that the way to the mask counts and not only its end.

    C_k = 1/n Σ_i s(x ⊙ (i/n) n(U(A_k))) − s(0),   i = 1 … n
    map = ReLU( Σ_k softmax_k(C) A_k )

Naidu et al., "IS-CAM: Integrated Score-CAM for axiomatic-based explanations", 2020 (arXiv 2010.03023). torch-cam adds
the factors up, so that its masks grow beyond 1: `factors=running-sum`. Guarantees: with `steps=1` it is Score-CAM.
Costs n·K + 1 forward passes: give `channels`.

    sightline.explain(model, "dog.jpg", "is-cam(channels=64)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.activation.channel_masks import (
    ChannelMasks,
    Most,
    Order,
    Read,
    Reading,
    changes,
    strongest,
    weights_of,
)
from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.masks import MaskSource
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, eq=False)
class Faded(MaskSource):
    """Every mask times each factor; all masks with the first factor, then all with the next."""

    masks: ChannelMasks
    factors: torch.Tensor

    def __len__(self) -> int:
        return len(self.factors) * len(self.masks)

    def make(self, rows: slice) -> torch.Tensor:
        return torch.cat([self._one(row) for row in range(len(self))[rows]])

    def _one(self, row: int) -> torch.Tensor:
        step, channel = divmod(row, len(self.masks))
        return float(self.factors[step]) * self.masks.make(slice(channel, channel + 1))


@dataclass(frozen=True, kw_only=True)
class IsCam(Weighting):
    """Score-CAM averaged over masks that are faded in."""

    steps: Annotated[int, Range(1, 4096), Doc("strengths of each mask")] = 10
    factors: Annotated[Literal["even", "running-sum"], Doc("strengths i/n, or their running sum as in torch-cam")] = (
        "even"
    )
    score: Read = "logit"
    order: Order = "enlarge-first"
    channels: Most = None

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="(n·K + 2) F + 1 B to the layer",
        paper="Naidu et al., IS-CAM, arXiv 2010.03023, 2020",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        view = self.look(passes, pixels, target)
        return Foreseen(forward=self.steps * strongest(view.activations, self.channels).shape[1] + 1, short=1)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        given = pixels.to(passes.device)
        activations = strongest(view.activations, self.channels)
        factors = torch.arange(1, self.steps + 1) / self.steps
        factors = factors.cumsum(0) if self.factors == "running-sum" else factors
        masks = Faded(ChannelMasks(activations, (given.shape[2], given.shape[3]), self.order), factors)
        change, base = changes(given, masks, torch.zeros_like(given), Reading(passes, target, self.score))
        change = change.unflatten(0, (self.steps, -1)).mean(0)
        return torch.einsum("bk,bkhw->bhw", weights_of(change, base, "softmax"), activations).relu()
