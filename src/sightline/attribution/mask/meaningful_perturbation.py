"""Meaningful perturbation: the smallest part of the picture whose blurring takes the class away.

    m = argmin p(Φ(x; m)) + λ₁ Σ|1 − m| + λ₂ Σ (|∂₁m|^β + |∂₂m|^β)          Φ = x·U(m) + x̃·(1 − U(m))   map = 1 − U(m)

Fong, Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation", ICCV 2017, equation 4 and section
4.3. U enlarges the mask by copying cells and blurs it; the blend is moved about by a few pixels in every step, so that
the mask cannot fit the network's quirks. x̃ is the picture under `fill`. Defaults are the authors' (28 × 28 cells, 300
steps of Adam at 0.1, λ₁ = 10⁻⁴, λ₂ = 10⁻², β = 3; the weights count in sums over cells, so they fit this `size`). The
mask starts as the smallest centred disc whose blurring takes away 99 % of what blurring all takes away; as ones where
none does. Guarantees: values from 0 to 1. The mask is in the result's arrays as `mask`, the objective of each step as
`curve`. Costs 300 forward and backward passes, and 13 forward ones.

    sightline.explain(model, "dog.jpg", "meaningful-perturbation(iterations=100)")
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.mask.operators import copied, grid_of
from sightline.attribution.mask.steps import Adam
from sightline.images.fills import Blur, Fill
from sightline.models.targets import Target
from sightline.passes.aims import Aim
from sightline.passes.blends import Blends, Moved, Term
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range

DISCS = 11
ENOUGH = 0.99


@dataclass(frozen=True, kw_only=True)
class MeaningfulPerturbation(Method):
    """The smallest part of the picture whose blurring takes the class away."""

    iterations: Annotated[int, Range(1, 100_000), Doc("steps")] = 300
    rate: Annotated[float, Range(1e-6, 10), Doc("of Adam")] = 0.1
    size: Annotated[int, Range(2, 4096), Doc("cells of the mask on each side")] = 28
    sparsity: Annotated[float, Range(0), Doc("weight of what is hidden")] = 1e-4
    smoothness: Annotated[float, Range(0), Doc("weight of the mask's roughness")] = 1e-2
    power: Annotated[float, Range(1, 10), Doc("of the differences in the roughness")] = 3.0
    jitter: Annotated[int, Range(0, 1000), Doc("pixels by which the picture is moved about at most")] = 4
    soft: Annotated[float, Range(0.1, 1000), Doc("blur of the enlarged mask, in pixels")] = 5.0
    fill: Annotated[Fill, Doc("what a hidden part shows")] = Blur(sigma=10)
    seed: Annotated[int, Range(0, 2**63 - 1), Doc("of the moving about")] = 0

    traits = Traits(
        family="mask",
        needs=Needs.GRADIENTS,
        cost="n (F + B) + 13 F",
        paper="Fong, Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation, ICCV 2017",
        signed=False,
        linear=False,
        deterministic=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=self.iterations + DISCS + 2, backward=self.iterations, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        other = self.fill.make(given, passes.classifier.values)
        aim, adam = Aim(target, torch.ones(1), passes.probability), Adam(self.rate)
        mask, curve = self._start(passes, given, other, target), []
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.iterations):
            down, right = torch.randint(0, self.jitter + 1, (2,), generator=generator).tolist()
            moved = partial(self._moved, pixels=given, other=other, by=(down, right))
            loss, gradient = passes.at(given, mask, moved, aim)
            with torch.enable_grad():
                leaf = mask.clone().requires_grad_()
                rough = self._regulariser(leaf)
                (own,) = torch.autograd.grad(rough.sum(), leaf)
            mask = adam(mask, gradient + own)
            curve.append(loss + rough.detach())
        return Maps(
            values=copied(1 - mask, given, self.soft),
            arrays={"mask": mask[:, 0], "curve": torch.stack(curve, dim=1)},
        )

    def _regulariser(self, mask: torch.Tensor) -> torch.Tensor:
        down, right = (mask.diff(dim=axis).abs() ** self.power for axis in (2, 3))
        rough = down.flatten(1).sum(1) + right.flatten(1).sum(1)
        return self.sparsity * (1 - mask).abs().flatten(1).sum(1) + self.smoothness * rough

    def _moved(self, mask: torch.Tensor, pixels: Pixels, other: Pixels, by: tuple[int, int]) -> Moved:
        return Moved(Blends(masks=copied(mask, pixels, self.soft).to(other.dtype), other=other), self.jitter, by)

    def _start(self, passes: Passes, pixels: Pixels, other: Pixels, target: Target) -> torch.Tensor:
        """For each picture the smallest centred disc that hides enough, as a mask `b 1 h w`; ones where none does."""
        discs = _discs(*grid_of(pixels, self.size)).to(passes.device)
        asked = torch.cat([discs, torch.ones_like(discs[:1]), torch.zeros_like(discs[:1])])
        shown = copied(asked[None], pixels, self.soft).to(other.dtype).expand(len(pixels), -1, -1, -1)
        terms = tuple(Term(mask=place) for place in range(len(asked)))
        scores = passes.perturbed(pixels, Blends(masks=shown, other=other, terms=terms))
        probability = torch.stack([passes.probability(each, target) for each in scores])  # disc by disc, then none, all
        fall = probability[-2] - probability
        enough = (fall[:-2] >= ENOUGH * fall[-1]) & (fall[-1] > 0)
        chosen = torch.where(enough.any(0), enough.float().argmax(0), len(discs))  # the first that does; else ones
        return asked[chosen][:, None]


def _discs(height: int, width: int) -> torch.Tensor:
    """Masks that hide a centred disc, the smallest first: `n h w`."""
    rows, columns = (torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1) for side in (height, width))
    apart = (rows[:, None] ** 2 + columns**2).sqrt()
    return torch.stack([(apart > radius * 2**0.5 / DISCS).float() for radius in range(1, DISCS + 1)])
