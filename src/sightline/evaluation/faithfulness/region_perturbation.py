"""Region perturbation (AOPC): fill the regions of the picture one after the other, and add up what the answer loses.

    order  squares of `window` pixels that do not overlap, by the sum of the map in them: the highest first
    x_k    the picture with the first k squares filled, k = 0 … L
    value  AOPC = 1/(L+1) · Σ_{k=0..L} (f(x_0) − f(x_k))                    order=most-relevant-first
           1/(L+1) · Σ_{k=0..L} (f(x_k) − f(x_0)), the lowest first         order=least-relevant-first
           the sum of the two, the area between the two curves              order=both

W. Samek, A. Binder, G. Montavon, S. Lapuschkin and K.-R. Müller, "Evaluating the Visualization of What a Deep Neural
Network Has Learned", IEEE TNNLS 28(11), 2017, arXiv 1509.06321: 9 × 9 pixels, L = 100, colours drawn evenly from the
whole range (they average ten such draws: average over `base=uniform(seed=…)`). Least relevant first they write the
AOPC with the other sign, so that lower is better; here higher is better for all three. Quantus' `RegionPerturbation`
takes squares of 8 pixels, puts a border of zeros round the map so that the squares are centred, and gives the curve of
f(x_0) − f(x_k) from k = 1. Scattered squares spoil a picture faster than a hole over the object does, and are
rewarded: judge beside a random map, or by both orders. Guarantees: an answer that never moves gives 0; the map counts
by the order of its squares only. Costs one forward pass a region (both orders two).

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "region-perturbation(window=16, regions=30)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch

from sightline.evaluation.base import Curve, Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.ranking import clean_probability, warnings_of
from sightline.evaluation.faithfulness.region_order import region_rank, tiles
from sightline.evaluation.faithfulness.scoring import Score, clean_score, perturbed_scores
from sightline.images.fills import Fill, Uniform
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Ranked
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class RegionPerturbation(Metric):
    """How much the answer loses on average while the most important squares are filled."""

    aliases = ("aopc",)

    window: Annotated[int, Range(1, 1 << 16), Doc("side of a square, in pixels of the input")] = 9
    regions: Annotated[int, Range(1, 1 << 20), Doc("squares to fill, at most all")] = 100
    order: Annotated[Literal["most-relevant-first", "least-relevant-first", "both"], Doc("which squares go first")] = (
        "most-relevant-first"
    )
    base: Annotated[Fill, Doc("what a filled square shows")] = Uniform()
    score: Score = "probability"

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="-1 to 1 (any for logits)",
        cost="1 F a region (both orders 2 F) + 1 F",
        paper="Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned, IEEE TNNLS 2017",
        axes=("share of the squares filled", "answer lost"),
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        whole = clean_score(passes, question, self.score)
        gains = []
        if self.order != "least-relevant-first":
            gains.append(whole - self._curve(passes, question, least=False))
        if self.order != "most-relevant-first":
            gains.append(self._curve(passes, question, least=True) - whole)
        heights = torch.cat([torch.zeros(1), torch.stack(gains).sum(0)])
        return Value(
            value=float(heights.mean()),
            curve=Curve(np.linspace(0, 1, len(heights)), heights.numpy().astype(np.float64)),
            details={"clean": whole, "regions": len(heights) - 1},
            warnings=warnings_of(question, float(clean_probability(passes, question))),
        )

    def _curve(self, passes: Passes, question: Question, *, least: bool) -> torch.Tensor:
        """The answer after 1 … L squares, float64."""
        pixels, (height, width) = question.pixels, question.map.shape
        regions = tiles(height, width, self.window)
        rank = region_rank(question.map, regions, mean=False, least=least)
        counts = torch.arange(1, min(self.regions, int(regions.max()) + 1) + 1)
        base = self.base.make(pixels, passes.classifier.values)
        versions = Ranked(rank.to(pixels.device), counts, base)
        return perturbed_scores(passes, pixels, versions, question, self.score)
