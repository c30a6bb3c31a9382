"""Integrated gradients: gradients collected on the straight way from a baseline to the picture.

    map = (x − x′) · ∫₀¹ ∂s/∂x (x′ + α (x − x′)) dα   ≈   (x − x′) Σ_j w_j ∂s/∂x (x′ + α_j (x − x′))      eq. 1, 3

Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017; baselines: Sturmfels, Lundberg, Lee,
"Visualizing the Impact of Feature Attribution Baselines", Distill 2020. Guarantees completeness: the map sums to
s(x) − s(x′); `completeness_error` is what is missing, and more than 1 % of the difference is warned about. The integral
is the same by any rule; the paper's sum takes the right ends, α_j = j/n (`right`), `midpoint` (j − ½)/n, and
Gauss-Legendre, the default, as captum's, is exact for smooth scores with far fewer points. `trapezoid` has both ends
with half the weight, and weights that sum to 1 (captum's sum to (n − 1)/n). A random baseline should be averaged over
several `draws`. Costs n forward and n backward passes, and one forward pass at the baseline, for each draw.

    sightline.explain(model, "dog.jpg", "integrated-gradients(steps=64, baseline=blur)")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.gradient.completeness import complete, drawn
from sightline.attribution.gradient.walks import Walk
from sightline.images.fills import Black, Fill
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Path
from sightline.types import Doc, Pixels, Range

Rule = Literal["gauss-legendre", "midpoint", "right", "left", "trapezoid"]
_INSIDE = {"midpoint": 0.5, "right": 1.0, "left": 0.0}
"""Where in its part of the way a point lies."""


def quadrature(rule: Rule, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points in [0, 1] and weights that sum to one, `n` float32 each."""
    if rule in _INSIDE:
        return (torch.arange(steps) + _INSIDE[rule]) / steps, torch.full((steps,), 1 / steps)
    if rule == "trapezoid":
        ends = torch.ones(steps)
        ends[[0, -1]] = 0.5 if steps > 1 else 1.0
        return torch.linspace(0, 1, steps), ends / ends.sum()
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return torch.tensor((1 + nodes) / 2, dtype=torch.float32), torch.tensor(weights / 2, dtype=torch.float32)


@dataclass(frozen=True, kw_only=True)
class IntegratedGradients(Method):
    """Gradients collected on the way from a baseline to the picture."""

    steps: Annotated[int, Range(1, 4096), Doc("points on the way")] = 50
    baseline: Annotated[Fill, Doc("where the way starts")] = Black()
    rule: Annotated[Rule, Doc("how the points are placed and weighted")] = "gauss-legendre"
    draws: Annotated[int, Range(1, 1024), Doc("baselines to average over, for a random baseline")] = 1

    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="(n + 1) F + n B a draw",
        paper="Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017",
        complete=True,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=self.draws * (self.steps + 1), backward=self.draws * self.steps)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        points, weights = quadrature(self.rule, self.steps)
        total = torch.zeros(pixels.shape, device=passes.device)
        reference = torch.zeros(len(pixels), device=passes.device)
        given = pixels.to(passes.device)
        for draw in range(self.draws):
            start = drawn(self.baseline, draw).make(given, passes.classifier.values)
            gradient = passes.mean_gradients(given, Path(start, points), weights, target)
            total += (given - start).float() * gradient / self.draws
            reference += target.score(passes.scores(start)) / self.draws
        return complete(total, target.score(passes.scores(pixels)) - reference)

    def walks(self, passes: Passes, pixels: Pixels, target: Target) -> Iterator[Walk]:
        """The straight ways, in steps of equal length, one a draw."""
        points = torch.linspace(0, 1, self.steps + 1)
        for draw in range(self.draws):
            start = drawn(self.baseline, draw).make(pixels, passes.classifier.values)
            yield partial(passes.along, pixels, Path(start, points), target)
