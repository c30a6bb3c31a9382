"""IDGI: the change of the score on each step of a way, given to the pixels whose gradients make it.

    map = Σ_j g_j² / Σ g_j² · ( s(x_{j+1}) − s(x_j) ),   g_j = ∂s/∂x (x_j)                            algorithm 1

Yang, Wang, Bilgic, "IDGI: A Framework to Eliminate Explanation Noise from Integrated Gradients", CVPR 2023. Steps of
a path along which the score does not change add noise to integrated gradients; here they add nothing. A wrapper of the
methods with a way from a baseline: `idgi(of=guided-ig)`. Guarantees completeness exactly, whatever the number of steps
(unless a gradient is zero everywhere: then that step is in `completeness_error`). Costs n + 1 forward and backward
passes a way.

    sightline.explain(model, "dog.jpg", "idgi(of=integrated-gradients(steps=64))")
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch

from sightline.attribution.base import Maps, Method, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.gradient.completeness import complete
from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
from sightline.attribution.gradient.walks import Walks
from sightline.errors import SpecError
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Stretch
from sightline.types import Doc, Pixels


@dataclass(eq=False)
class Shares:
    """The running sum over the steps of one way."""

    total: torch.Tensor
    first: torch.Tensor | None = None
    score: torch.Tensor | None = None
    share: torch.Tensor | None = None

    def see(self, found: Stretch) -> None:
        """Add the steps that end in this stretch."""
        for score, gradient in zip(found.scores, found.gradients, strict=True):
            if self.score is None or self.share is None:
                self.first = score
            else:
                self.total.add_(self.share * (score - self.score)[:, None, None, None])
            # Divided by the largest first: squares of tiny or huge gradients leave the range of float32.
            largest = gradient.abs().amax((1, 2, 3), keepdim=True)
            squares = torch.where(largest > 0, gradient / largest, 0.0) ** 2
            self.share = torch.where(largest > 0, squares / squares.sum((1, 2, 3), keepdim=True), 0.0)
            self.score = score

    @property
    def difference(self) -> torch.Tensor:
        """The score at the end less the score at the start, `b`."""
        assert self.score is not None
        assert self.first is not None
        return self.score - self.first


@dataclass(frozen=True, kw_only=True)
class Idgi(Method):
    """The score's change on each step of a way, shared out by squared gradients."""

    of: Annotated[Method, Doc("the method whose way is gone: integrated-gradients, blur-ig, guided-ig")] = (
        IntegratedGradients()
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.of, Walks):
            raise SpecError(
                f"idgi needs a method that goes a way from a baseline to the picture, got {self.of}: "
                "integrated-gradients, blur-ig and guided-ig do"
            )

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """The wrapped method's, but complete whatever the number of steps."""
        return replace(
            self.of.traits,
            cost="(n + 1) F + (n + 1) B a draw",
            paper="Yang et al., IDGI: A Framework to Eliminate Explanation Noise from Integrated Gradients, CVPR 2023",
            complete=True,
        )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        # Both ends of every way are looked at, and a way of n steps has n + 1 ends.
        each = self.of.foresee(passes, pixels, target)
        ends = each.backward + getattr(self.of, "draws", 1)
        return Foreseen(forward=ends, backward=ends, clean=0, at_most=each.at_most)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        assert isinstance(self.of, Walks)
        found: list[Shares] = []
        for walk in self.of.walks(passes, pixels.to(passes.device), target):
            found.append(Shares(torch.zeros(pixels.shape, device=passes.device)))
            walk(found[-1].see)
        difference = torch.stack([shares.difference for shares in found]).mean(0)
        return complete(sum((shares.total for shares in found), torch.zeros(())) / len(found), difference)
