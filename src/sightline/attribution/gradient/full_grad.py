"""FullGrad: the score taken apart into what the pixels say and what every bias inside the network says.

    s(x) = Σ x ⊙ ∂s/∂x + Σ_l Σ b_l ⊙ ∂s/∂(output of l)                                                  eq. 2, 4
    map  = Ψ(x ⊙ ∂s/∂x) + Σ_l Ψ(b_l ⊙ ∂s/∂(output of l)),   Ψ = enlarge( scale to 0…1( |·| ) )           eq. 5

Srinivas, Fleuret, "Full-Gradient Representation for Neural Network Visualization", NeurIPS 2019. l runs over the
modules with a bias; that of batch normalisation is β − μ γ / √(σ² + ε). As in the authors' code, each layer is scaled
to 0…1 over all its channels, which are then summed, and layers that lie on no grid (the last linear one) count in the
sum but not in the map. Guarantees: the two sums are the score of every network of linear layers and ReLU;
`missing_from_score` tells what is missing, and more than 1 % of the score is warned about (GELU, layer normalisation,
attention, a bias that is no module's). `scale=none` sums |·| as it is. Costs 2 forward passes and 1 backward pass.

    sightline.explain(model, "dog.jpg", "full-grad")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.base import Maps, Method, Needs, Traits, where
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.inside import Inside
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels

_MISSING = 0.01
_NOT_EXACT = (
    "the pixels and the biases of its modules do not make up the whole score (see missing_from_score): FullGrad is "
    "exact for networks of linear layers, batch normalisation and ReLU"
)


@dataclass(frozen=True, kw_only=True)
class FullGrad(Method):
    """What the pixels and every bias contribute to the score, layer upon layer."""

    scale: Annotated[Literal["layer", "none"], Doc("each layer to 0…1 as in the paper, or as it is")] = "layer"

    name = "full-grad"
    aliases = ("fullgrad", "full-gradients")
    traits = Traits(
        family="gradient",
        needs=Needs.LAYER,
        cost="2 F + 1 B",
        paper="Srinivas, Fleuret, Full-Gradient Representation for Neural Network Visualization, NeurIPS 2019",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=1, backward=1, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        assert passes.network is not None
        biases = biases_of(passes.network)
        answers = passes.inside(pixels, list(biases), target, lambda found: self._read(found, biases))
        values, missing, scores = (torch.cat(part) for part in zip(*answers, strict=True))
        return Maps(
            values=values,
            numbers={"missing_from_score": missing},
            cautions=where(missing.abs() > _MISSING * scores.abs(), _NOT_EXACT),
        )

    def _read(
        self, found: Inside, biases: dict[str, tuple[torch.Tensor, bool]]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The map `b 1 h w`, what is missing from the score and the score, `b`."""
        part = found.pixels.float() * found.at_pixels
        total, explained = scaled(part, self.scale).sum(1, keepdim=True), part.double().flatten(1).sum(1)
        for name, (bias, last) in biases.items():
            for gradient in found.gradients[name]:
                part = gradient.float() * (bias if last else bias.view(-1, *[1] * (gradient.ndim - 2)))
                # Where a module's rows are windows, all of them are those of one picture.
                explained = explained + part.double().reshape(len(explained), -1).sum(1)
                grid = found.grid(name, part)
                if grid is not None:
                    own = scaled(grid, self.scale).sum(1, keepdim=True)
                    total = total + functional.interpolate(own, total.shape[-2:], mode="bilinear")
        return total, (found.scores - explained).float(), found.scores


def scaled(part: torch.Tensor, scale: str) -> torch.Tensor:
    """Ψ without enlarging: magnitudes, each picture's from 0 to 1."""
    part = part.abs()
    if scale == "none":
        return part
    low, high = part.amin((1, 2, 3), keepdim=True), part.amax((1, 2, 3), keepdim=True)
    return torch.where(high > low, (part - low) / (high - low), 0.0)


def biases_of(network: nn.Module) -> dict[str, tuple[torch.Tensor, bool]]:
    """The bias of every module that has one, by name, and whether its channels are the last axis of the output."""
    found: dict[str, tuple[torch.Tensor, bool]] = {}
    for name, module in network.named_modules():
        bias = getattr(module, "bias", None)
        mean, variance = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        # A module with modules inside may do more than add its bias (batch normalisation with its activation in timm).
        if not name or any(True for _ in module.children()):
            continue
        if isinstance(mean, torch.Tensor) and isinstance(variance, torch.Tensor):
            weight = getattr(module, "weight", None)
            slope = (1.0 if weight is None else weight) / (variance + getattr(module, "eps", 1e-5)).sqrt()
            bias = (0.0 if bias is None else bias) - mean * slope
        if isinstance(bias, torch.Tensor) and bias.ndim == 1:
            last = isinstance(module, nn.Linear | nn.LayerNorm) and not type(module).__name__.endswith("2d")
            found[name] = (bias.detach().float(), last)
    return found
