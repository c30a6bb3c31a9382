"""Guided integrated gradients: on the way to the picture, pixels with small gradients go first.

    x_0 = x′;   step t moves the pixels whose |∂s/∂x (x_t)| is among the smallest `fraction`, until the distance
    ‖x − x_t‖₁ has fallen by 1/n of ‖x − x′‖₁;   map = Σ_t ∂s/∂x (x_t) ⊙ (x_{t+1} − x_t)              algorithm 1

Kapishnikov et al., "Guided Integrated Gradients: an Adaptive Path Method for Removing Noise", CVPR 2021. Each pixel
stays within `max_distance` of the straight way (as a part of it): 0 is integrated gradients with left ends, 1 leaves
the way free. Guarantees completeness with enough steps: `completeness_error` is what is missing; a linear network gets
w ⊙ (x − x′). Costs n + 1 forward and n backward passes, in float32 also with `precision=fast`: rounded gradients soon
lead along another way.

    sightline.explain(model, "dog.jpg", "guided-ig(steps=200, baseline=black)")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.gradient.completeness import complete
from sightline.attribution.gradient.walks import See, Walk
from sightline.errors import NonFiniteError
from sightline.images.fills import Black, Fill
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Path, Stretch
from sightline.types import Doc, Pixels, Range

_CLOSE = 1e-9


@dataclass(frozen=True, kw_only=True)
class GuidedIG(Method):
    """Gradients collected on a way that pixels with small gradients go first."""

    steps: Annotated[int, Range(1, 4096), Doc("steps on the way")] = 200
    baseline: Annotated[Fill, Doc("where the way starts")] = Black()
    fraction: Annotated[float, Range(0.001, 1), Doc("part of the values that moves at a time")] = 0.25
    max_distance: Annotated[float, Range(0, 1), Doc("how far a value may be off the straight way, as a part of it")] = (
        0.02
    )

    name = "guided-ig"
    aliases = ("guided-integrated-gradients",)
    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="(n + 1) F + n B",
        paper="Kapishnikov et al., Guided Integrated Gradients, CVPR 2021",
        complete=True,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        # The clean pass that others share may be rounded: then the end of the way is asked again.
        rounded = int(passes.precision != "float32")
        return Foreseen(forward=self.steps + rounded, backward=self.steps, clean=1 - rounded)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        total = torch.zeros(given.shape, device=passes.device)
        first: list[torch.Tensor] = []
        with passes.in_float32() as exact:
            for found, change in self._steps(exact, given, target):
                total += found.gradients[0] * change
                first = first or [found.scores[0]]
            return complete(total, target.score(exact.scores(pixels)) - first[0])

    def walks(self, passes: Passes, pixels: Pixels, target: Target) -> Iterator[Walk]:
        """The one way, found step by step."""

        def walk(see: See) -> None:
            with passes.in_float32() as exact:
                for found, _ in self._steps(exact, pixels, target):
                    see(found)
                exact.along(pixels, Path(pixels, torch.zeros(1)), target, see)

        yield walk

    def _steps(self, passes: Passes, given: Pixels, target: Target) -> Iterator[tuple[Stretch, Pixels]]:
        """What is seen at the start of each step, and by how much the step moves every value."""
        start = self.baseline.make(given, passes.classifier.values)
        lengths = (given - start).abs().double().flatten(1)
        gone = torch.zeros(given.shape, dtype=torch.float64, device=given.device)
        for step in range(1, self.steps + 1):
            seen: list[Stretch] = []
            here = (start + gone * (given - start)).to(given)
            try:
                passes.along(given, Path(here, torch.zeros(1)), target, seen.append)
            except NonFiniteError as error:
                raise NonFiniteError(f"{error}; that is step {step} of {self.steps}") from error
            # Which values go next hangs on the order of all gradients: so the passes are in float32.
            rows = zip(gone.flatten(1), lengths, seen[0].gradients[0].abs().flatten(1), strict=True)
            after = torch.stack([moved(self, *row, step / self.steps) for row in rows]).view_as(gone)
            yield seen[0], ((after - gone) * (given - start)).float()
            gone = after


def moved(of: GuidedIG, gone: torch.Tensor, length: torch.Tensor, gradient: torch.Tensor, even: float) -> torch.Tensor:
    """How far along each of a picture's values are after a step: `n` from 0 to 1.

    Args:
        of: how many go at a time, and how far from the straight way.
        gone: how far they were.
        length: of each value's whole way.
        gradient: its magnitude.
        even: how far the straight way would be.
    """
    low, high = max(even - of.max_distance, 0.0), min(even + of.max_distance, 1.0)
    left = float(length.sum()) * (1 - even)
    gone = gone.clamp(min=low)
    rank = 1 + int(of.fraction * (gone.numel() - 1))
    while (surplus := float((length * (1 - gone)).sum()) - left) > _CLOSE * float(length.sum()):
        can_move = (gone < high) & (length > 0)
        smallest = torch.where(can_move, gradient, torch.inf).kthvalue(rank).values
        moving = can_move & (gradient <= smallest)
        part = surplus / float((length * (high - gone))[moving].sum())
        gone = torch.where(moving, gone + min(part, 1.0) * (high - gone) if part < 1 else high, gone)
    return gone
