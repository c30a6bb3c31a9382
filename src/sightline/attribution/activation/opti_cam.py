"""Opti-CAM: the weights of the channels under which the picture seen through their sum says most for the class.

    M(u) = n(U( Σ_k softmax_k(u) A_k ))            n: stretched to 0…1, U: enlarged to the picture
    u*   = argmax_u s(x ⊙ M(u))                    by Adam, from equal weights
    map  = M(u*)

Zhang, Torres, Sicre, Avrithis, Ayache, "Opti-CAM: Optimizing saliency maps for interpretability", Computer Vision and
Image Understanding 2024 (arXiv 2301.07002). The map is the mask itself, from 0 to 1. Where the score never moves with
the weights, the map is zero. The authors' code takes 50 steps or 100, fewer where the score no longer rises from one
tenth of them to the next, and only the positive part of A, the same behind a ReLU. Guarantees: a constant added to the
score, or a positive factor, changes (nearly) nothing. Costs n forward and n backward passes and those of the layer.

    sightline.explain(model, "dog.jpg", "opti-cam(steps=50)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.channel_masks import enlarged, unit
from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, kw_only=True)
class OptiCam(Weighting):
    """The mask of weighted channels through which the picture says most for the class."""

    steps: Annotated[int, Range(1, 1 << 20), Doc("of the optimiser")] = 100
    rate: Annotated[float, Range(1e-6, 1e3), Doc("how far a step of Adam goes")] = 0.1

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="(n + 1) F + n B + 1 B to the layer",
        paper="Zhang et al., Opti-CAM, CVIU 2024",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=self.steps, backward=self.steps, short=1)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        given = pixels.to(passes.device)
        # In float64, the gradient of what cannot matter (a silent channel) stays nothing, and Adam does not enlarge it.
        activations = view.activations.double()
        logits = torch.zeros(activations.shape[:2], dtype=torch.float64, device=given.device, requires_grad=True)
        adam = torch.optim.Adam([logits], lr=self.rate, maximize=True)
        moved = torch.zeros(len(given), dtype=torch.bool, device=given.device)
        for _ in range(self.steps):
            with torch.enable_grad():
                mask = _mask(logits, activations, (given.shape[2], given.shape[3]))
            slope = passes.gradients(given * mask.detach()[:, None].to(given), target)
            moved |= slope.flatten(1).any(1)
            towards = (slope * given).sum(1).double()
            (logits.grad,) = torch.autograd.grad(mask, logits, towards)
            adam.step()
        best = _mask(logits.detach(), activations, (given.shape[2], given.shape[3]))
        return torch.where(moved[:, None, None], best, 0.0).float()


def _mask(logits: torch.Tensor, activations: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`b h w` from 0 to 1 for the weights `b K` before their softmax."""
    total = torch.einsum("bk,bkhw->bhw", logits.softmax(1), activations)
    return unit(enlarged(total[:, None], size))[:, 0]
