"""SS-CAM: Score-CAM whose masks are shaken, so that no single mask decides.

    C_k = 1/n Σ_i s(x ⊙ (n(U(A_k)) + δ_i)) − s(0),   δ_i ~ N(0, σ²) at every pixel
    map = ReLU( Σ_k softmax_k(C) A_k )

Wang, Naidu, Michael, Kundu, "SS-CAM: Smoothed Score-CAM for Sharper Visual Feature Localization", 2020 (arXiv
2006.14255). `shaken=picture` is the second of its two forms, (x + δ_i) ⊙ n(U(A_k)), with noise at every channel of
every pixel, in the network's units. The noise of a draw is the same for every picture. n = 10 and σ = 2 are the
paper's; the authors' code and torch-cam take n = 35. Guarantees: with `sigma=0` it is Score-CAM. Costs n·K + 1 forward
passes: give `channels`.

    sightline.explain(model, "dog.jpg", "ss-cam(channels=64, samples=4)")
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
    changes_from,
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
from sightline.passes.perturbations import Masks, Perturbation
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, eq=False)
class Draws:
    """Every mask `samples` times, each time with noise of its own; all masks once, then all again."""

    masks: ChannelMasks
    samples: int
    sigma: float
    seed: int

    def __len__(self) -> int:
        return self.samples * len(self.masks)

    def mask(self, row: int) -> torch.Tensor:
        """The mask of a row, `1 b 1 h w`."""
        channel = row % len(self.masks)
        return self.masks.make(slice(channel, channel + 1))

    def noise(self, row: int, like: torch.Tensor) -> torch.Tensor:
        """The noise of a row, in a tensor's shape."""
        return self.sigma * noise_of(self.seed * len(self) + row, like)


@dataclass(frozen=True, eq=False)
class Shaken(MaskSource):
    """The masks, with noise on each."""

    draws: Draws

    def __len__(self) -> int:
        return len(self.draws)

    def make(self, rows: slice) -> torch.Tensor:
        return torch.cat([self._one(row) for row in range(len(self))[rows]])

    def _one(self, row: int) -> torch.Tensor:
        mask = self.draws.mask(row)
        return mask + self.draws.noise(row, mask[0, 0, 0])


@dataclass(frozen=True, eq=False)
class ShakenPicture(Perturbation):
    """The picture with noise, seen through each mask."""

    draws: Draws

    def __len__(self) -> int:
        return len(self.draws)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        return torch.cat([self._one(pixels, row) for row in range(len(self))[rows]])

    def _one(self, pixels: Pixels, row: int) -> Pixels:
        return (pixels + self.draws.noise(row, pixels[0])) * self.draws.mask(row)[0].to(pixels)


def noise_of(seed: int, like: torch.Tensor) -> torch.Tensor:
    """Standard normal noise of a tensor's shape, from a generator of its own."""
    generator = torch.Generator().manual_seed(seed % (1 << 63))
    return torch.randn(like.shape, generator=generator).to(like)


@dataclass(frozen=True, kw_only=True)
class SsCam(Weighting):
    """Score-CAM averaged over noise on its masks."""

    samples: Annotated[int, Range(1, 4096), Doc("noisy masks a channel")] = 10
    sigma: Annotated[float, Range(0, 100), Doc("standard deviation of the noise; masks go from 0 to 1")] = 2.0
    shaken: Annotated[Literal["masks", "picture"], Doc("what the noise is added to: the paper's two forms")] = "masks"
    score: Read = "logit"
    order: Order = "enlarge-first"
    channels: Most = None
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

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        view = self.look(passes, pixels, target)
        return Foreseen(forward=self.samples * strongest(view.activations, self.channels).shape[1] + 1, short=1)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        given = pixels.to(passes.device)
        activations = strongest(view.activations, self.channels)
        plain = ChannelMasks(activations, (given.shape[2], given.shape[3]), self.order)
        black, draws = torch.zeros_like(given), Draws(plain, self.samples, self.sigma, self.seed)
        versions = ShakenPicture(draws) if self.shaken == "picture" else Masks(Shaken(draws), black)
        change, base = changes_from(given, versions, black, Reading(passes, target, self.score))
        change = change.unflatten(0, (self.samples, -1)).mean(0)
        return torch.einsum("bk,bkhw->bhw", weights_of(change, base, "softmax"), activations).relu()
