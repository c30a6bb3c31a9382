"""IROF: take superpixels away in the order of their mean relevance, and measure the area above the falling answer.

    order  superpixels by the mean of the map over their pixels, the highest first
    r_l    f(x with the first l superpixels replaced) / f(x), l = 0 … L
    value  1 − area under r_0 … r_L by the trapezoid rule, on an axis from 0 to 1

L. Rieger and L. K. Hansen, "IROF: a low resource evaluation metric for explanation methods", AI for Affordable
Healthcare Workshop at ICLR 2020, arXiv 2003.08747; their score is the mean of these areas over pictures. Higher is
better. Superpixels are those of `images.segments` (SLIC, which needs scikit-image; `regions=grid` does not). Quantus'
`IROF` gives every superpixel the width 1 and leaves l = 0 out: its number is L − Σ trapezoids of r_1 … r_L, near L
times this one; it cuts the prepared picture and not the one a person sees, and replaces by the picture's mean value.
Guarantees: at most 1; an answer that never falls gives 0 or less; the map counts by the order of the means only. Costs
one forward pass a superpixel.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "irof(regions=grid(rows=6, columns=6))")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch

from sightline.evaluation.base import Curve, Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.ranking import area, clean_probability, warnings_of
from sightline.evaluation.faithfulness.region_order import region_rank
from sightline.evaluation.faithfulness.scoring import clean_score, perturbed_scores, to_divide_by
from sightline.images.fills import Fill, Mean
from sightline.images.segments import Regions, Slic
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Ranked
from sightline.types import Doc


@dataclass(frozen=True, kw_only=True)
class Irof(Metric):
    """How far the probability falls, on average, while the most important superpixels are taken away."""

    regions: Annotated[Regions, Doc("how the picture is cut")] = Slic(segments=100)
    base: Annotated[Fill, Doc("what superpixels taken away show")] = Mean()

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="at most 1",
        cost="1 F a superpixel + 1 F",
        paper="Rieger, Hansen, IROF: a low resource evaluation metric for explanation methods, ICLR Workshop 2020",
        axes=("share of the superpixels taken away", "probability, relative"),
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        pixels, values = question.pixels, passes.classifier.values
        whole = to_divide_by(clean_score(passes, question, "probability"), self.name)
        regions = self.regions.make(pixels, values)[0]
        rank = region_rank(question.map, regions, mean=True).to(pixels.device)
        versions = Ranked(rank, torch.arange(1, int(regions.max()) + 2), self.base.make(pixels, values))
        rest = perturbed_scores(passes, pixels, versions, question, "probability")
        heights = torch.cat([torch.ones(1), rest / whole])
        warnings = warnings_of(question, float(clean_probability(passes, question)))
        if len(rest) == 1:
            warnings += ("the picture was cut into one region: every map gets this value",)
        return Value(
            value=1 - area(heights),
            curve=Curve(np.linspace(0, 1, len(heights)), heights.numpy().astype(np.float64)),
            details={"regions": len(rest)},
            warnings=warnings,
        )
