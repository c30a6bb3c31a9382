"""Expected gradients (GradientSHAP): integrated gradients averaged over random baselines, one random point a baseline.

    map = E_{x′ ~ D, α ~ U(0, 1)} [ (x − x′) ⊙ ∂s/∂x (x′ + α (x − x′)) ]                                  eq. 2

Erion, Janizek, Sturmfels, Lundberg, Lee, "Improving performance of deep learning models with axiomatic attribution
priors and expected gradients", Nature Machine Intelligence 2021; GradientSHAP of Lundberg, Lee, NIPS 2017 (`shap`,
Captum) is the same with Gaussian `noise` added to the picture. The paper draws x′ from training pictures; here D is a
random fill, drawn anew for each sample, and a fixed fill makes a Monte Carlo of integrated gradients. Guarantees
completeness in the mean of all draws: the map sums to s(x) − E s(x′); `completeness_error` is what these samples miss,
and falls as 1/√n. Costs 2n forward and n backward passes, and n more forward passes where noise is added.

    sightline.explain(model, "dog.jpg", "expected-gradients(samples=200, baseline=uniform)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.gradient.completeness import complete, drawn
from sightline.images.fills import Fill, Uniform
from sightline.images.values import ValueRange
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation, Stretch
from sightline.types import Doc, Pixels, Range, Seed


@dataclass(frozen=True, eq=False)
class Draws(Perturbation):
    """Random points on the way from random baselines to the picture, noisy where wanted.

    Every draw has a generator of its own, so that it is the same however many are made at a time.
    """

    of: ExpectedGradients
    values: ValueRange

    def __len__(self) -> int:
        return self.of.samples

    def ends(self, pixels: Pixels, draw: int) -> tuple[Pixels, Pixels, float]:
        """Where the way of a draw starts and ends, `b c h w`, and how far along it the point lies."""
        generator = torch.Generator().manual_seed((self.of.seed * 1_000_003 + draw) % 2**63)
        alpha = float(torch.rand((), generator=generator))
        fill = drawn(self.of.baseline, int(torch.randint(2**62, (), generator=generator)))
        end = pixels
        if self.of.noise:
            low, high, _ = self.values.like(pixels)
            noise = torch.randn(pixels.shape[1:], generator=generator).to(pixels)
            end = pixels + self.of.noise * (high - low) * noise
        return fill.make(pixels, self.values), end, alpha

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        ways = [self.ends(pixels, draw) for draw in range(rows.start, rows.stop)]
        return torch.cat([start + alpha * (end - start) for start, end, alpha in ways])


@dataclass(frozen=True, eq=False)
class Ends(Perturbation):
    """The starts, or the ends, of the ways of `draws`."""

    draws: Draws
    which: Literal[0, 1]

    def __len__(self) -> int:
        return len(self.draws)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        return torch.cat([self.draws.ends(pixels, draw)[self.which] for draw in range(rows.start, rows.stop)])


@dataclass(frozen=True, kw_only=True)
class ExpectedGradients(Method):
    """Gradients at random points on the ways from random baselines to the picture."""

    samples: Annotated[int, Range(1, 10_000), Doc("baselines, with one point on the way from each")] = 200
    baseline: Annotated[Fill, Doc("where the ways start; a random fill is drawn anew for each")] = Uniform()
    noise: Annotated[float, Range(0, 10), Doc("standard deviation of noise on the picture, in parts of the range")] = (
        0.0
    )
    seed: Seed = 0

    aliases = ("gradient-shap", "gradshap")
    traits = Traits(
        family="gradient",
        needs=Needs.GRADIENTS,
        cost="2n F + n B",
        paper="Erion et al., Improving performance of deep learning models with axiomatic attribution priors and "
        "expected gradients, Nature Machine Intelligence 2021",
        complete=True,
        deterministic=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=(3 if self.noise else 2) * self.samples, backward=self.samples)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        draws = Draws(self, passes.classifier.values)
        total = torch.zeros(given.shape, device=passes.device)

        def add(found: Stretch) -> None:
            for draw, gradient in zip(range(found.rows.start, found.rows.stop), found.gradients, strict=True):
                start, end, _ = draws.ends(given, draw)
                total.add_((end - start).float() * gradient / self.samples)

        passes.along(given, draws, target, add)
        start = self._mean_score(passes, given, Ends(draws, 0), target)
        clean = target.score(passes.scores(pixels))
        if self.noise:
            clean = self._mean_score(passes, given, Ends(draws, 1), target)
        return complete(total, clean - start)

    @staticmethod
    def _mean_score(passes: Passes, given: Pixels, ends: Ends, target: Target) -> torch.Tensor:
        return torch.stack([target.score(scores) for scores in passes.perturbed(given, ends)]).mean(0)
