"""SS-CAM: Score-CAM whose masks are shaken, so that no single mask decides.

    C_k = 1/n Σ_i s(x ⊙ (n(U(A_k)) + δ_i)) − s(0),   δ_i ~ N(0, σ²) at every pixel
    map = ReLU( Σ_k softmax_k(C) A_k )

Wang, Naidu, Michael, Kundu, "SS-CAM: Smoothed Score-CAM for Sharper Visual Feature Localization", 2020 (arXiv
2006.14255), the first of its two forms, in which the masks are shaken and not the picture. The noise of a draw is the
same for every picture. n = 10 and σ = 2 are the paper's; the authors' code and torch-cam take n = 35. Guarantees: with
`sigma=0` it is Score-CAM. Costs n·K + 1 forward passes: give `channels`.

    sightline.explain(model, "dog.jpg", "ss-cam(channels=64, samples=4)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.channel_masks import (
    ChannelMasks,
    Order,
    Reading,
    Value,
    changes,
    strongest,
    weights_of,
)
from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.masks import MaskSource
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, eq=False)
class Shaken(MaskSource):
    """Every mask `samples` times, with noise of its own; all masks once, then all again."""

    masks: ChannelMasks
    samples: int
    sigma: float
    seed: int

    def __len__(self) -> int:
        return self.samples * len(self.masks)

    def make(self, rows: slice) -> torch.Tensor:
        return torch.cat([self._one(row) for row in range(len(self))[rows]])

    def _one(self, row: int) -> torch.Tensor:
        channel = row % len(self.masks)
        mask = self.masks.make(slice(channel, channel + 1))
        generator = torch.Generator().manual_seed((self.seed * len(self) + row) % (1 << 63))
        return mask + self.sigma * torch.randn(mask.shape[-2:], generator=generator).to(mask)


@dataclass(frozen=True, kw_only=True)
class SsCam(Weighting):
    """Score-CAM averaged over noise on its masks."""

    samples: Annotated[int, Range(1, 4096), Doc("noisy masks a channel")] = 10
    sigma: Annotated[float, Range(0, 100), Doc("standard deviation of the noise, where masks go from 0 to 1")] = 2.0
    score: Annotated[Value, Doc("the network's own score, or the probability")] = "logit"
    order: Annotated[Order, Doc("masks are stretched to 0…1 after they are enlarged, or before")] = "enlarge-first"
    channels: Annotated[int | None, Range(1, 1 << 20), Doc("only those that vary most; all when left out")] = None
    seed: Annotated[int, Range(0, 2**31 - 1), Doc("seed of the noise")] = 0

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="(n·K + 2) F + 1 B to the layer",
        paper="Wang et al., SS-CAM, arXiv 2006.14255, 2020",
        signed=False,
        deterministic=False,
        linear=False,
    )

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        given = pixels.to(passes.device)
        activations = strongest(view.activations, self.channels)
        plain = ChannelMasks(activations, (given.shape[2], given.shape[3]), self.order)
        masks = Shaken(plain, self.samples, self.sigma, self.seed)
        change, base = changes(given, masks, torch.zeros_like(given), Reading(passes, target, self.score))
        change = change.unflatten(0, (self.samples, -1)).mean(0)
        return torch.einsum("bk,bkhw->bhw", weights_of(change, base, "softmax"), activations).relu()
