"""MuFidelity: does the order of what the map gives to random parts follow the order of what the network loses there?

    S_j    a share of the cells of a grid drawn at random, j = 1 … `samples`
    value  Spearman's correlation over j of Σ_{i ∈ S_j} map_i with f(x) − f(x with S_j as in base)

U. Bhatt, A. Weller and J. M. F. Moura, "Evaluating and Aggregating Feature-based Model Explanations", IJCAI 2020,
there μ_F, in the form of xplique's `MuFidelity` (T. Fel et al., "Xplique: A Deep Learning Explainability
Toolbox", 2022): a grid of 9 × 9, a fifth of its cells, 200 samples, ranks in place of values, and 0 for what is hidden,
which is the mean colour where the picture is normalised. Xplique hides each cell by a chance of its own, here it is
always that share of the cells. Higher is better. Guarantees: between −1 and 1; any map whose
sums over subsets have the same order gives the same value; a linear network and its own contributions (x − base)·w
give 1. Costs one forward pass a sample.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "mu-fidelity(samples=50)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.correlation import correlation
from sightline.evaluation.faithfulness.scoring import Score
from sightline.evaluation.faithfulness.subsets import Hidden, said_and_seen
from sightline.images.fills import Fill, Mean
from sightline.images.segments import Grid, Regions
from sightline.passes.passes import Passes
from sightline.types import Doc, Range, Seed


@dataclass(frozen=True, kw_only=True)
class MuFidelity(Metric):
    """How well the order of the map's sums over random cells follows what the network loses without them."""

    samples: Annotated[int, Range(2, 1 << 20), Doc("random subsets")] = 200
    share: Annotated[float, Range(0.001, 0.999), Doc("which share of the regions is hidden")] = 0.2
    regions: Annotated[Regions, Doc("how the picture is cut")] = Grid(rows=9, columns=9)
    base: Annotated[Fill, Doc("what hidden regions show")] = Mean()
    score: Score = "logit"
    seed: Seed = 0

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="-1 to 1",
        cost="1 F a sample + 1 F",
        paper="Bhatt, Weller, Moura, Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        regions = self.regions.make(question.pixels, passes.classifier.values)[0]
        size = max(1, int((int(regions.max()) + 1) * self.share + 1e-9))
        hidden = Hidden(
            features=regions,
            sizes=(size,) * self.samples,
            other=self.base.make(question.pixels, passes.classifier.values),
            seed=self.seed,
        )
        found, warnings = correlation(*said_and_seen(passes, question, hidden, self.score), "spearman")
        return Value(value=found, details={"regions hidden": size}, warnings=warnings)
