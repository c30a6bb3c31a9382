"""Integrated gradients: gradients collected on the straight way from a baseline to the picture.

    map = (x − x′) · ∫₀¹ ∂s/∂x (x′ + α (x − x′)) dα   ≈   (x − x′) Σ_j w_j ∂s/∂x (x′ + α_j (x − x′))      eq. 1, 3

Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017; baselines: Sturmfels, Lundberg, Lee,
"Visualizing the Impact of Feature Attribution Baselines", Distill 2020. Guarantees completeness: the map sums to
s(x) − s(x′); `completeness_error` is what is missing, and more than 1 % of the difference is warned about. The integral
is the same by any rule; the paper's sum takes the right ends, α_j = j/n (`right`), `midpoint` (j − ½)/n, and
Gauss-Legendre, the default, as captum's, is exact for smooth scores with far fewer points. `trapezoid` has both ends
with half the weight, and weights that sum to 1 (captum's sum to (n − 1)/n). A random baseline should be averaged over
several `draws`. Costs n forward and n backward passes, and one forward pass at the baseline, for each draw.

On ReLU networks no fixed rule closes in on the integral quickly, since the slope jumps near the baseline: `adaptive`
places points where most is missing (`sightline.attribution.gradient.adaptive`), until at most `tolerance` of the
difference is; `steps` is then the most it may take, and the number `points` tells what it took, as with
`integrated-gradients(rule=adaptive, steps=512)`. A gradient is kept for each point until the picture is done.

    sightline.explain(model, "dog.jpg", "integrated-gradients(steps=64, baseline=blur)")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.gradient.adaptive import Ask, Way
from sightline.attribution.gradient.completeness import complete, drawn
from sightline.attribution.gradient.walks import Walk
from sightline.errors import SpecError
from sightline.images.fills import Black, Fill
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Path
from sightline.types import Doc, Pixels, Range

Rule = Literal["gauss-legendre", "midpoint", "right", "left", "trapezoid", "adaptive"]
_INSIDE = {"midpoint": 0.5, "right": 1.0, "left": 0.0}
"""Where in its part of the way a point lies."""


def quadrature(rule: Rule, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points in [0, 1] and weights that sum to one, `n` float32 each, of a rule that places them beforehand."""
    if rule in _INSIDE:
        return (torch.arange(steps) + _INSIDE[rule]) / steps, torch.full((steps,), 1 / steps)
    if rule == "trapezoid":
        ends = torch.ones(steps)
        ends[[0, -1]] = 0.5 if steps > 1 else 1.0
        return torch.linspace(0, 1, steps), ends / ends.sum()
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return torch.tensor((1 + nodes) / 2, dtype=torch.float32), torch.tensor(weights / 2, dtype=torch.float32)


class _Integral(NamedTuple):
    """The map `b c h w` from one baseline, the difference of the scores, `b`, and the points it took, `b` or one."""

    values: torch.Tensor
    difference: torch.Tensor
    points: torch.Tensor | int


def _asking(passes: Passes, pixels: Pixels, start: Pixels, target: Target) -> Ask:
    return lambda points, see: passes.along(pixels, Path(start, points), target, see)


@dataclass(frozen=True, kw_only=True)
class IntegratedGradients(Method):
    """Gradients collected on the way from a baseline to the picture."""

    steps: Annotated[int, Range(1, 4096), Doc("points on the way")] = 50
    baseline: Annotated[Fill, Doc("where the way starts")] = Black()
    rule: Annotated[Rule, Doc("how the points are placed and weighted")] = "gauss-legendre"
    draws: Annotated[int, Range(1, 1024), Doc("baselines to average over, for a random baseline")] = 1
    tolerance: Annotated[
        float, Range(0, 1), Doc("of rule=adaptive: the share of the difference of scores that may be missing")
    ] = 0.01

    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="(n + 1) F + n B a draw",
        paper="Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017",
        complete=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule == "adaptive" and self.steps < 2:
            raise SpecError("rule=adaptive asks at both ends of the way at least: give steps=2 or more")
        if self.rule != "adaptive" and self.tolerance != type(self).tolerance:
            raise SpecError(f"rule={self.rule} takes all its steps whatever is missing: tolerance is of rule=adaptive")

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        if self.rule == "adaptive":  # both ends of the way are among its points
            return Foreseen(forward=self.draws * self.steps, backward=self.draws * self.steps, clean=0, at_most=True)
        return Foreseen(forward=self.draws * (self.steps + 1), backward=self.draws * self.steps)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        total = torch.zeros(pixels.shape, device=passes.device)
        difference, asked = torch.zeros(2, len(pixels), device=passes.device)
        adaptive = self.rule == "adaptive"
        from_one = self._adapted if adaptive else partial(self._by_rule, target.score(passes.scores(pixels)))
        for draw in range(self.draws):
            start = drawn(self.baseline, draw).make(given, passes.classifier.values)
            found = from_one(passes, given, start, target)
            total += found.values / self.draws
            difference += found.difference / self.draws
            asked += found.points
        maps = complete(total, difference)
        return replace(maps, numbers={**maps.numbers, "points": asked}) if adaptive else maps

    def _by_rule(self, end: torch.Tensor, passes: Passes, pixels: Pixels, start: Pixels, target: Target) -> _Integral:
        points, weights = quadrature(self.rule, self.steps)
        gradient = passes.mean_gradients(pixels, Path(start, points), weights, target)
        return _Integral((pixels - start).float() * gradient, end - target.score(passes.scores(start)), self.steps)

    def _adapted(self, passes: Passes, pixels: Pixels, start: Pixels, target: Target) -> _Integral:
        ways = []
        for row in range(len(pixels)):  # each takes points of its own
            only = slice(row, row + 1)
            way = Way(pixels[only] - start[only])
            way.walk(_asking(passes, pixels[only], start[only], target.rows(only)), self.steps, self.tolerance)
            ways.append(way)
        numbers = torch.tensor([(way.difference(), len(way.points)) for way in ways]).to(pixels.device, torch.float32)
        return _Integral(torch.cat([way.integral() for way in ways]), *numbers.unbind(1))

    def walks(self, passes: Passes, pixels: Pixels, target: Target) -> Iterator[Walk]:
        """The straight ways, in steps of equal length, one a draw."""
        points = torch.linspace(0, 1, self.steps + 1)
        for draw in range(self.draws):
            start = drawn(self.baseline, draw).make(pixels, passes.classifier.values)
            yield partial(passes.along, pixels, Path(start, points), target)
