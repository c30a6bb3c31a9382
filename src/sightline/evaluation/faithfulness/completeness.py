"""Completeness: by how much does the sum of the map miss the difference of scores that it should explain?

    value  |Σ map − (f(x) − f(x′))|, x′ the picture as `base` makes it

M. Sundararajan, A. Taly and Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, the axiom of completeness
(summation to delta: A. Shrikumar et al., "Learning Important Features Through Propagating Activation Differences", ICML
2017). Lower is better, 0 is complete. It only means something with the base that the map was made with, black unless
the method was told another, and for maps that promise it (see "adds up" on a method's page): a map that was stretched
or cut at 0 has lost its units. In the details stand the sum, the difference, and `relative`, the value over
|f(x) − f(x′)|. Quantus' `Completeness` asks whether the two are exactly equal, which rounding alone makes false.
Guarantees: at least 0; a linear network and (x − x′)·w give 0. Costs one forward pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg", "integrated-gradients"), "completeness")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.correlation import STILL
from sightline.evaluation.faithfulness.scoring import Score, clean_score, scored
from sightline.images.fills import Black, Fill
from sightline.passes.passes import Passes
from sightline.types import Doc


@dataclass(frozen=True, kw_only=True)
class Completeness(Metric):
    """By how much the sum of the map misses the difference of scores."""

    base: Annotated[Fill, Doc("what the picture is compared with")] = Black()
    score: Score = "logit"

    traits = MetricTraits(
        family="faithfulness",
        better="lower",
        range="at least 0",
        cost="2 F",
        paper="Sundararajan, Taly, Yan, Axiomatic Attribution for Deep Networks, ICML 2017",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        start = self.base.make(question.pixels, passes.classifier.values)
        other = float(scored(passes, passes.scores(start), question, self.score))
        difference = clean_score(passes, question, self.score) - other
        total = float(question.map.sum(dtype=np.float64))
        gap = abs(total - difference)
        details, warnings = {"sum": total, "difference": difference}, self._doubts(question)
        if abs(difference) <= STILL:
            warnings += (
                "the network says the same of the base as of the picture: nothing can be missing from nothing",
            )
            return Value(value=gap, details=details, warnings=warnings)
        return Value(value=gap, details=details | {"relative": gap / abs(difference)}, warnings=warnings)

    def _doubts(self, question: Question) -> tuple[str, ...]:
        """Where the method that made the map says that the sum means another thing, or nothing."""
        if question.method is None:
            return ()
        if not question.method.traits.complete:
            return (f"{question.method.name} does not promise that its map sums to a difference of scores",)
        baseline = getattr(question.method, "baseline", self.base)
        if isinstance(baseline, Fill) and baseline != self.base:
            return (f"the map was made against {baseline}, and is judged against {self.base}: give base={baseline}",)
        return ()
