"""What I-GOS, iGOS+ and iGOS++ share: masks moved along gradients that are integrated over the way from no mask.

    direction = Σ_terms ± 1/S Σ_s ∂p(blend with (s/S)·M)/∂M + ∇g(M),   g = sparsity · mean|1 − M| + smoothness · TV(M)
    M ← clip(M − α · direction)

p is the probability of the target. A method states its terms and its g. By `momentum` (Jiang, Khorram, Li, "Diverse
Explanations for Object Detectors with Nesterov-Accelerated iGOS++", BMVC 2023) α is `rate`, in proportion to the cells
of the mask: the loss is a mean over them. With `smoothness=20` a rate above 3 makes the mask a chequer-board. By
`line-search` α is the largest of `step`, `step`/5, … that lowers the loss named by `judge`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch

from sightline.attribution.base import Maps, Method
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.mask.lowering import Lowering
from sightline.attribution.mask.operators import emptiness, enlarged, grid_of
from sightline.attribution.mask.steps import STEP, LineSearch, Momentum
from sightline.images.fills import Fill, IgosBlur
from sightline.models.targets import Target
from sightline.passes.aims import Aim
from sightline.passes.blends import Blends, Term
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range

CELLS = 28 * 28
"""For how many cells of a mask the rate of the momentum is given."""


@dataclass(frozen=True, eq=False)
class Question:
    """One step of a batch whose masks are sought: the pictures, the price of hiding, and the noise of this step."""

    passes: Passes
    pixels: Pixels
    target: Target
    other: Pixels
    price: torch.Tensor
    noise: torch.Tensor | None = None
    seed: int = 0

    def of(self, which: torch.Tensor) -> Question:
        """The question about some pictures, given as booleans `b`."""
        return replace(
            self,
            pixels=self.pixels[which],
            target=self.target.rows(which.cpu()),
            other=self.other[which],
            price=self.price[which],
            noise=None if self.noise is None else self.noise[which],
        )


@dataclass(frozen=True, kw_only=True)
class PathDescent(Method):
    """Masks moved along integrated gradients."""

    iterations: Annotated[int, Range(1, 10_000), Doc("steps of the mask")] = 15
    points: Annotated[int, Range(1, 1000), Doc("points on the way from no mask, for each gradient")] = 20
    size: Annotated[int, Range(2, 4096), Doc("cells of the mask on each side")] = 28
    sparsity: Annotated[float, Range(0), Doc("weight of what is hidden")] = 1.0
    smoothness: Annotated[float, Range(0), Doc("weight of the mask's roughness")] = 20.0
    noise: Annotated[
        float, Range(0, 10), Doc("standard deviation of the noise, in parts of the picture's own standard deviation")
    ] = 0.2
    lowering: Annotated[bool, Doc("whether the weight of what is hidden falls where the score does not")] = False
    optimiser: Annotated[Literal["momentum", "line-search"], Doc("how far each step goes")] = "momentum"
    judge: Annotated[
        Literal["path", "mask"], Doc("what the line search lowers: the mean over the way, or the loss at the mask")
    ] = "path"
    step: Annotated[float, STEP, Doc("longest step of the line search")] = 1000.0
    rate: Annotated[float, STEP, Doc("of the momentum, for 28 × 28 cells; in proportion for others")] = 2.0
    fill: Annotated[Fill, Doc("what a hidden part shows")] = IgosBlur()
    seed: Annotated[int, Range(0, 2**63 - 1), Doc("of the noise")] = 0

    terms: ClassVar[tuple[tuple[Term, float], ...]]
    """The blends whose probability is summed, each with its weight."""
    masks: ClassVar[int] = 1
    """How many masks are sought for each picture; their product is the result."""

    @abstractmethod
    def roughness(self, mask: torch.Tensor, pixels: Pixels) -> torch.Tensor:
        """TV of each picture, `b`, for the result mask `b 1 h w`."""

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        steps, terms = self.iterations, len(self.terms)
        each = Foreseen(forward=steps * terms * self.points, backward=steps * terms * self.points, clean=0)
        each = each.and_(forward=steps if self.lowering else 0)
        if self.optimiser == "momentum":
            return each
        tried = LineSearch(self.step).most() * terms * (self.points if self.judge == "path" else 1)
        before = 0 if self.judge == "path" else terms
        return replace(each.and_(forward=steps * (tried + before)), at_most=True)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        other = self.fill.make(given, passes.classifier.values)
        noise = self.noise * given.float().flatten(1).std(1, correction=0) if self.noise else None
        asked = Question(passes, given, target, other, torch.full((len(given),), self.sparsity).to(other.device), noise)
        masks = torch.ones(len(given), self.masks, *grid_of(given, self.size), device=passes.device)
        search, momentum = LineSearch(self.step), Momentum(self.rate * masks[0, 0].numel() / CELLS)
        lowering, curve = Lowering(self.iterations, asked.price), []
        for done in range(self.iterations):
            asked = replace(asked, price=lowering.price, seed=self.seed * 1_000_003 + done * self.points)
            direction, loss = self._direction(asked, masks)
            score = self._score(asked, masks) if self.lowering else None
            if self.optimiser == "momentum":
                masks = momentum(masks, direction)
            else:
                loss = loss if self.judge == "path" else self._loss(asked, masks)
                masks = search(masks, direction, loss, partial(self._tried, asked))
            if score is not None:
                lowering(score)
            curve.append(loss)
        mask = masks.prod(1, keepdim=True)
        return Maps(values=enlarged(1 - mask, given), arrays={"mask": mask[:, 0], "curve": torch.stack(curve, dim=1)})

    def _direction(self, asked: Question, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The integrated gradient of the terms plus that of g, and the loss over the way, `b`."""
        aim = Aim(asked.target, self._weights(self.points), asked.passes.probability)
        loss, gradient = asked.passes.at(asked.pixels, masks, lambda leaf: self._blends(asked, leaf, self.points), aim)
        with torch.enable_grad():
            leaf = masks.clone().requires_grad_()
            rough = self._regulariser(asked, leaf)
            (own,) = torch.autograd.grad(rough.sum(), leaf)
        return gradient + own, loss + rough.detach()

    def _tried(self, asked: Question, masks: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        return self._loss(asked.of(which), masks)

    def _regulariser(self, asked: Question, masks: torch.Tensor) -> torch.Tensor:
        """g of each picture, `b`."""
        mask = masks.prod(1, keepdim=True)
        return asked.price * emptiness(mask) + self.smoothness * self.roughness(mask, asked.pixels.float())

    def _score(self, asked: Question, masks: torch.Tensor) -> torch.Tensor:
        """The probability of what the result mask leaves, `b`."""
        shown = enlarged(masks.prod(1, keepdim=True), asked.pixels).to(asked.other.dtype)
        (scores,) = asked.passes.perturbed(asked.pixels, Blends(masks=shown, other=asked.other))
        return asked.passes.probability(scores, asked.target)

    def _loss(self, asked: Question, masks: torch.Tensor) -> torch.Tensor:
        """What the line search judges by, `b`: the mean over the way with its noise, or its end without."""
        points = self.points if self.judge == "path" else 1
        scores = asked.passes.perturbed(asked.pixels, self._blends(asked, masks, points, self.judge == "path"))
        each = torch.stack([asked.passes.probability(found, asked.target) for found in scores])
        network = self._weights(points).to(each) @ each
        return network + self._regulariser(asked, masks)

    def _weights(self, points: int) -> torch.Tensor:
        return torch.tensor([weight / points for _, weight in self.terms for _ in range(points)])

    def _blends(self, asked: Question, masks: torch.Tensor, points: int, noisy: bool = True) -> Blends:
        shown = enlarged(masks, asked.pixels)
        together = shown if self.masks == 1 else torch.cat([shown, shown.prod(1, keepdim=True)], dim=1)
        return Blends(
            masks=together.to(asked.other.dtype),
            other=asked.other,
            terms=tuple(term for term, _ in self.terms),
            points=tuple((point + 1) / points for point in range(points)),
            noise=asked.noise if noisy else None,
            seed=asked.seed,
        )
