"""Faithfulness correlation: does what the map gives to random pixels go with what the network loses without them?

    S_j    `subset` pixels drawn at random, j = 1 … `samples`
    value  Pearson's correlation over j of Σ_{i ∈ S_j} map_i with f(x) − f(x with S_j as in base)

U. Bhatt, A. Weller and J. M. F. Moura, "Evaluating and Aggregating Feature-based Model Explanations", IJCAI 2020,
there μ_F, arXiv 2005.00631. Higher is better. A pixel is hidden with all its channels, as the map is one of
pixels; Quantus' `FaithfulnessCorrelation`, whose 100 subsets of 224 are the default here, draws single channels of
pixels and hides them by the smallest value of the picture. Guarantees: between −1 and 1;
k·map + c with k > 0 gives the same value, for all subsets are of one size; a linear network and its own contributions
(x − base)·w give 1. Few pixels of many move a network little: where its answer stands still the value is 0, with a
warning. Costs one forward pass a subset.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "faithfulness-correlation(samples=50)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.correlation import correlation
from sightline.evaluation.faithfulness.scoring import Score
from sightline.evaluation.faithfulness.subsets import Hidden, pixelwise, said_and_seen
from sightline.images.fills import Fill, Mean
from sightline.passes.passes import Passes
from sightline.types import Doc, Range, Seed


@dataclass(frozen=True, kw_only=True)
class FaithfulnessCorrelation(Metric):
    """How well the map's sums over random pixels go with what the network loses without them."""

    samples: Annotated[int, Range(2, 1 << 20), Doc("random subsets")] = 100
    subset: Annotated[int, Range(1, 1 << 24), Doc("pixels of a subset, at most all but one")] = 224
    base: Annotated[Fill, Doc("what hidden pixels show")] = Mean()
    score: Score = "logit"
    seed: Seed = 0

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="-1 to 1",
        cost="1 F a subset + 1 F",
        paper="Bhatt, Weller, Moura, Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        size = min(self.subset, question.map.size - 1)
        hidden = Hidden(
            features=pixelwise(question.map),
            sizes=(size,) * self.samples,
            other=self.base.make(question.pixels, passes.classifier.values),
            seed=self.seed,
        )
        found, warnings = correlation(*said_and_seen(passes, question, hidden, self.score), "pearson")
        return Value(value=found, details={"subset": size}, warnings=warnings)
