"""Monotonicity: put the pixels back, the least important first: does the answer rise with every step?

    p_k    probability of the target with the first k steps of pixels put back on `base`, the lowest values first
    value  share of k = 2 … T with p_k ≥ p_{k−1}, or 1 only where that holds for all of them (`count=all`)

V. Arya et al., "One Explanation Does Not Fit All: A Toolkit and Taxonomy of AI Explainability Techniques", 2019, arXiv
1909.03012 (AI Explainability 360, `monotonicity_metric`): features are added by rising importance and the answer is yes
or no, which is `count=all`. Theirs are the few columns of a table; for the many steps of a picture it is no for nearly
every map, so the share is the default, and their answer stands in the details as `all`. Higher is better. Falls below
one millionth are rounding and count as none. Quantus' `Monotonicity` with its constant base replaces the base by itself
and so is always true; with its default it also takes absolute values first. Guarantees: between 0 and 1; a probability
that never falls gives 1; the map counts by its order only. Costs one forward pass a step.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "monotonicity(steps=14)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch

from sightline.evaluation.base import Curve, Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.correlation import STILL
from sightline.evaluation.faithfulness.ranking import clean_probability, counts_of, rank_of, warnings_of
from sightline.evaluation.faithfulness.scoring import perturbed_scores
from sightline.images.fills import Fill, Mean
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Ranked
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class Monotonicity(Metric):
    """How many steps raise the probability when pixels are put back, the least important first."""

    steps: Annotated[int, Range(2, 1 << 24), Doc("steps at most, each of ⌈pixels / steps⌉ pixels")] = 28
    base: Annotated[Fill, Doc("what is shown before any pixel is put back")] = Mean()
    count: Annotated[Literal["share", "all"], Doc("the share of steps without a fall, or whether there is none")] = (
        "share"
    )

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="0 to 1",
        cost="1 F a step",
        paper="Arya et al., One Explanation Does Not Fit All: A Toolkit and Taxonomy of AI Explainability Techniques, "
        "2019",
        axes=("share of the picture shown", "probability"),
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        pixels, size = question.pixels, question.map.size
        counts = counts_of(size, self.steps)
        least_first = size - 1 - rank_of(question.map).to(pixels.device)
        base = self.base.make(pixels, passes.classifier.values)
        rest = perturbed_scores(passes, base, Ranked(least_first, counts[1:-1], pixels), question, "probability")
        clean = clean_probability(passes, question)
        heights = torch.cat([rest, clean]).numpy()
        rises = np.diff(heights) >= -STILL
        share = float(rises.mean()) if len(rises) else 1.0
        return Value(
            value=share if self.count == "share" else float(share == 1),
            curve=Curve(counts[1:].numpy() / size, heights),
            details={"share": share, "all": float(share == 1)},
            warnings=warnings_of(question, float(clean)),
        )
