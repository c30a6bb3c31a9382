"""Monotonicity correlation: does the network depend most on the regions that the map holds strongest?

    e_i    1/(s·f(x)²) · Σ_{j=1..s} (f(x with region i as in noise j) − f(x))²
    value  Spearman's correlation over the regions of Σ_{pixels of i} |map| with e_i

A. Nguyen and M. R. Martínez, "On quantitative aspects of model interpretability", 2020, arXiv 2007.07584: the
rank correlation of the absolute attributions with the expected loss when a feature is not known. Higher is better.
Noise is drawn evenly from the whole range of colours, the same for all regions. Regions are those of a grid, for a
network says little of a single pixel; in Quantus' `MonotonicityCorrelation`, which draws 100 times from 0 to 1,
features are the pixels (channel by channel), or runs of the sorted map. Where f(x) is nearly 0 it is not divided by.
Guarantees: between −1 and 1; −map gives the same value. Costs one forward pass a region and draw.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "monotonicity-correlation(samples=3)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.correlation import correlation
from sightline.evaluation.faithfulness.scoring import Score, clean_score, perturbed_scores
from sightline.evaluation.faithfulness.subsets import per_feature
from sightline.images.segments import Grid, Regions
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation
from sightline.types import Doc, Pixels, Range, Seed

_NOTHING = 1e-5  # an answer below is not divided by (Quantus' eps)


@dataclass(frozen=True, eq=False)
class NoisyRegions(Perturbation):
    """Every region filled by every pattern, region by region.

    Attributes:
        regions: `h w` int64, from 0 without gaps.
        noise: `s c h w`.
    """

    regions: torch.Tensor
    noise: Pixels

    def __len__(self) -> int:
        return (int(self.regions.max()) + 1) * len(self.noise)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        places = torch.arange(*rows.indices(len(self)), device=pixels.device)
        filled = self.regions.to(pixels.device) == (places // len(self.noise))[:, None, None]
        return torch.where(filled[:, None, None], self.noise[places % len(self.noise), None], pixels[None]).flatten(
            0, 1
        )


@dataclass(frozen=True, kw_only=True)
class MonotonicityCorrelation(Metric):
    """How well the map's strength in each region goes with how much the network depends on it."""

    regions: Annotated[Regions, Doc("how the picture is cut")] = Grid()
    samples: Annotated[int, Range(1, 1 << 16), Doc("draws of the noise")] = 10
    score: Score = "probability"
    seed: Seed = 0

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="-1 to 1",
        cost="1 F a region and draw + 1 F",
        paper="Nguyen, Martínez, On quantitative aspects of model interpretability, 2020",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        pixels, values = question.pixels, passes.classifier.values
        regions, (low, high, _) = self.regions.make(pixels, values)[0], values.like(pixels)
        chance = torch.Generator().manual_seed(self.seed)
        noise = torch.rand(self.samples, *pixels.shape[1:], generator=chance).to(pixels)
        versions = NoisyRegions(regions, low + noise * (high - low))
        whole = clean_score(passes, question, self.score, fine=True)
        apart = perturbed_scores(passes, pixels, versions, question, self.score, fine=True) - whole
        loss = apart.reshape(-1, self.samples).square().mean(1).numpy() / (whole**2 if abs(whole) > _NOTHING else 1)
        said = per_feature(np.abs(question.map), regions)
        # The root: where the network's answer stands still is told by how far it moves, and ranks are the same.
        found, warnings = correlation(said, np.sqrt(loss), "spearman")
        return Value(value=found, details={"regions": len(said)}, warnings=warnings)
