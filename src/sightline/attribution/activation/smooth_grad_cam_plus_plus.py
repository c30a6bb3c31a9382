"""Smooth Grad-CAM++: Grad-CAM++ from derivatives that are means over noisy copies of the picture.

    D_p = 1/n Σ_m g(x + ε_m)^p,   ε_m ~ N(0, σ²),   σ = spread · (max x − min x)
    α_k(i, j) = D_2 / (2 D_2 + Σ_ab A_k(a, b) D_3)
    w_k = Σ_ij α_k(i, j) ReLU(D_1),   map = ReLU( Σ_k w_k A_k )

Omeiza, Speakman, Cintas, Weldemariam, "Smooth Grad-CAM++", 2019. A are the activations of the picture itself. The
numerator of α is printed as D_1 in the paper; D_2, as in torch-cam, is what makes it Grad-CAM++ where there is no
noise. Directly before global average pooling and a linear layer, as at the last layer of ResNets, gradients do not
depend on the picture, and noise changes nothing: name an earlier layer. Guarantees: the map is ≥ 0; `spread=0` gives
Grad-CAM++. Costs n + 1 forward and n + 1 backward passes to the layer.

    sightline.explain(model, "dog.jpg", "smooth-grad-cam-plus-plus(samples=10)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.activation.grad_cam_plus_plus import cell_shares
from sightline.attribution.activation.weighting import Weighting, where_negative
from sightline.attribution.base import Cautions, Needs, Traits, merged, where
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.noise import noisy_copies
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range

_EVEN = 1e-5  # of the largest: what rounding leaves between cells that get the same


@dataclass(frozen=True, kw_only=True)
class SmoothGradCamPlusPlus(Weighting):
    """Grad-CAM++ from derivatives averaged over noisy copies."""

    samples: Annotated[int, Range(1, 10_000), Doc("noisy copies")] = 25
    spread: Annotated[float, Range(0, 10), Doc("standard deviation of the noise, in parts of the picture's range")] = (
        0.15
    )
    seed: Annotated[int, Range(0, 2**63 - 1), Doc("of the noise")] = 0

    aliases = ("smooth-grad-cam-pp",)
    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="(n + 1) F + (n + 1) B to the layer",
        paper="Omeiza et al., Smooth Grad-CAM++, 2019",
        signed=False,
        deterministic=False,
        linear=False,
    )

    def cautions(self, view: LayerView) -> Cautions:
        slopes = view.gradients
        even = slopes.amax((2, 3)) - slopes.amin((2, 3)) <= _EVEN * slopes.abs().amax((2, 3))
        words = (
            f"gradients at layer {view.layer.name!r} are the same in all cells, as before an average: where a linear "
            "layer follows that, noise changes nothing and this is grad-cam-plus-plus: name an earlier layer"
        )
        return merged([where_negative(self.name, view), where(even.all(1), words)])

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return super().foresee(passes, pixels, target).and_(forward=self.samples, short=self.samples)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        first, second, third = (torch.zeros_like(view.activations, dtype=torch.float64) for _ in range(3))
        copied = noisy_copies(passes, pixels, samples=self.samples, spread=self.spread, seed=self.seed)
        for copies, noisy in copied:
            seen = passes.layer(noisy, view.layer.name, target.tiled(copies))
            gradients = seen.gradients.double().unflatten(0, (copies, -1))
            first += gradients.sum(0) / self.samples
            second += (gradients**2).sum(0) / self.samples
            third += (gradients**3).sum(0) / self.samples
        total = view.activations.sum((2, 3), keepdim=True)
        shares = cell_shares(first.relu(), total * third / torch.where(second == 0, 1, second))
        weights = (shares * first.relu()).sum((2, 3), keepdim=True)
        return (weights.float() * view.activations).sum(1).relu()
