"""Ablation-CAM: a channel counts as much as the score falls when it is switched off.

    w_k = (s − s_k) / s              s_k: the score with channel k set to zero        eq. 2
    map = ReLU( Σ_k w_k A_k )                                                         eq. 3

Desai, Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free Localization",
WACV 2020. Only the part of the network after the layer is run for each channel. Where s is negative, the paper's
fraction would turn evidence for the class into evidence against it: here the fall is divided by |s|. A transformer's
prefix tokens stay as they are. Guarantees: where the score is a linear function of the layer, the map is that of the
contributions w_k s = Σ_ij A_k ∂s/∂A_k. Costs K + 1 forward passes, of which K are only of the rest of the network.

    sightline.explain(model, "dog.jpg", "ablation-cam")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.passes.versions import Versions
from sightline.types import Pixels


@dataclass(frozen=True)
class SwitchedOff(Versions):
    """Every channel set to zero, one at a time."""

    channels: int

    def __len__(self) -> int:
        return self.channels

    def make(self, activations: torch.Tensor, rows: slice) -> torch.Tensor:
        off = range(self.channels)[rows]
        versions = activations.repeat(len(off), 1, 1, 1)
        versions[range(len(off)), list(off)] = 0
        return versions


class Unchanged(Versions):
    """The activations as they are."""

    def __len__(self) -> int:
        return 1

    def make(self, activations: torch.Tensor, rows: slice) -> torch.Tensor:
        return activations[None]


@dataclass(frozen=True, kw_only=True)
class AblationCam(Weighting):
    """Activations weighted by the fall of the score without them."""

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="K F after the layer + 1 F + 1 B to the layer",
        paper="Desai, Ramaswamy, Ablation-CAM, WACV 2020",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        view = self.look(passes, pixels, target)
        channels, again = view.activations.shape[1], int(passes.precision != "float32")
        return Foreseen(forward=channels + again + passes.trial(pixels, view, channels), short=1, clean=2)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        clean = self._clean(view, passes, pixels, target)
        without = passes.after(pixels, view, SwitchedOff(view.activations.shape[1]))
        fall = clean - torch.stack([target.score(scores) for scores in without])
        weights = fall / torch.where(clean == 0, 1.0, clean.abs())
        return torch.einsum("kb,bkhw->bhw", weights, view.activations).relu()

    def _clean(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        """The score with all channels; in the numbers of the scores without one, whose differences are small."""
        if passes.precision == "float32":
            return target.score(passes.scores(pixels))
        return target.score(passes.after(pixels, view, Unchanged())[0])
