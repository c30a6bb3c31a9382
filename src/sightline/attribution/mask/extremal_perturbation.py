"""Extremal perturbation: the part of a given area that, alone, keeps the score highest.

    m_a = argmax score(m ⊗ x) − λ_t mean|vecsort(m) − r_a|²,   r_a = zeros, then a·n ones          map = mean_a m_a

Fong, Patrick, Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth Masks", ICCV 2019, equations
3 and 5. m ⊗ x reads, at every pixel, from a pyramid of `levels` blurs of the picture (`perturbation=blur`) or shades to
the mean colour (`fade`). `variant=delete` seeks the part whose loss lowers the score most, `dual` both at once;
`reward=contrastive` takes the best other class off the score. Defaults are the authors' for 224 × 224 pixels (`step`
and `sigma` are in pixels); as in their code the last mask is the result, masks have a margin, and every second picture
is mirrored. Guarantees: values from 0 to 1; the area is `areas` once λ_t = λ·1.0035^t has had its way (`area` in the
result's numbers says what it is). Where the score never changes, the map is 0: a mask would be of the area's making
alone. The masks are in the result's arrays as `mask`, their energies as `curve`. Costs 800 forward and backward passes
an area, twice that for `dual`.

    sightline.explain(model, "dog.jpg", "extremal-perturbation(areas=(0.05, 0.1, 0.2))")
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.mask.pyramid import Seen, blurred, faded
from sightline.attribution.mask.smooth_mask import SmoothMask
from sightline.attribution.mask.steps import Descent
from sightline.models.targets import Target
from sightline.passes.aims import Aim
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range, Scores

GROWTH = 1.0035


@dataclass(frozen=True, kw_only=True)
class ExtremalPerturbation(Method):
    """The part of a given area that alone keeps the score highest."""

    areas: Annotated[tuple[float, ...], Range(1e-4, 1), Doc("parts of the picture, a mask each")] = (0.1,)
    variant: Annotated[Literal["preserve", "delete", "dual"], Doc("what the mask shall do to the score")] = "preserve"
    reward: Annotated[Literal["simple", "contrastive"], Doc("the score, or what it is above the best other")] = "simple"
    perturbation: Annotated[Literal["blur", "fade"], Doc("how pixels are weakened")] = "blur"
    levels: Annotated[int, Range(2, 64), Doc("of weakening")] = 8
    blur: Annotated[float, Range(0.1, 1000), Doc("standard deviation of the strongest blur, in pixels")] = 20.0
    iterations: Annotated[int, Range(1, 100_000), Doc("steps")] = 800
    rate: Annotated[float, Range(1e-6, 1e3), Doc("of the steps")] = 0.01
    constraint: Annotated[float, Range(0, 1e6), Doc("λ, the weight of the area at first")] = 300.0
    step: Annotated[int, Range(1, 1000), Doc("pixels between the mask's parameters")] = 7
    sigma: Annotated[float, Range(0.5, 1000), Doc("smoothness of the mask in pixels")] = 21.0

    traits = Traits(
        family="mask",
        needs=Needs.GRADIENTS,
        cost="800 (F + B) an area",
        paper="Fong et al., Understanding Deep Networks via Extremal Perturbations and Smooth Masks, ICCV 2019",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        each = self.iterations * len(self._versions())
        return Foreseen(forward=each, backward=each, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        shape = SmoothMask(given.shape[-2], given.shape[-1], self.step, self.sigma)
        areas = torch.tensor(self.areas, device=passes.device).repeat(len(given))
        parameters = torch.ones(len(areas), *shape.grid, device=passes.device)
        pyramid, aim, descent = self._pyramid(passes, given), self._aim(target), Descent(self.rate)
        masks, curve = torch.empty(0), []
        spoken = torch.zeros(len(given), dtype=torch.bool, device=passes.device)
        for done in range(self.iterations):
            with torch.enable_grad():
                leaf = parameters.requires_grad_()
                whole = shape.make(leaf)
                masks = shape.inside(whole).unflatten(0, (len(given), -1))
                describe = partial(Seen, pyramid=pyramid, versions=self._versions(), mirrored=done % 2 == 0)
                loss, slope = passes.at(given, masks.detach(), describe, aim)
                error = self.constraint * GROWTH**done * area_error(whole, areas)
                total = (masks * slope).sum() + error.sum()
            parameters = descent(leaf, torch.autograd.grad(total, leaf)[0])
            spoken |= slope.flatten(1).any(1)
            curve.append(loss + error.detach().unflatten(0, (len(given), -1)).sum(1))
        masks = masks.detach()
        return Maps(
            values=masks.mean(1, keepdim=True) * spoken[:, None, None, None],
            numbers={"area": masks.mean((1, 2, 3))},
            arrays={"mask": masks, "curve": torch.stack(curve, dim=1)},
        )

    def _pyramid(self, passes: Passes, given: Pixels) -> torch.Tensor:
        values = passes.classifier.values
        if self.perturbation == "fade":
            return faded(given, values, self.levels)
        return blurred(given, values, self.levels, self.blur)

    def _versions(self) -> tuple[tuple[int, bool], ...]:
        """For each version its mask, and whether the mask keeps what it covers or takes it away."""
        ways = {"preserve": (True,), "delete": (False,), "dual": (True, False)}[self.variant]
        return tuple((mask, keeps) for keeps in ways for mask in range(len(self.areas)))

    def _aim(self, target: Target) -> Aim:
        weights = torch.tensor([-1.0 if keeps else 1.0 for _, keeps in self._versions()])
        return Aim(target, weights, contrast if self.reward == "contrastive" else reward)


def area_error(masks: torch.Tensor, areas: torch.Tensor) -> torch.Tensor:
    """mean |vecsort(m) − r_a|² of masks `n h w` with areas `n`: 0 for a mask of an a-th part ones, the rest zeros."""
    ranked = masks.flatten(1).sort(dim=1).values
    zeros = (ranked.shape[1] * (1 - areas)).floor()
    wanted = (torch.arange(ranked.shape[1], device=masks.device) >= zeros[:, None]).to(ranked)
    return ((ranked - wanted) ** 2).mean(1)


def reward(scores: Scores, target: Target) -> torch.Tensor:
    """The score of the target."""
    return target.score(scores)


def contrast(scores: Scores, target: Target) -> torch.Tensor:
    """What the score of the target is above the best other class."""
    own = target.index.to(scores.device)[:, None]
    return target.score(scores) - scores.scatter(1, own, -torch.inf).amax(1)
