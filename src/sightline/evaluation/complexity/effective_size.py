"""Effective size: the share of the picture that the map gives any weight at all.

    value  share of the pixels with |map_i| > `above` · max_j |map_j|

After A. Nguyen and M. R. Martínez, "On quantitative aspects of model interpretability", 2020, arXiv 2007.07584, whose
effective complexity is the smallest number of top features that keeps the expected loss of the network below a bound
(what a map's top pixels are worth to the network is asked here by `sufficiency`); counted on the map alone as in
Quantus' `EffectiveComplexity` (`above` 1e-5, maps divided by their maximum), which gives the number and not the share.
The number is in the details as `pixels`. Lower is simpler, which is no sign of truth. Guarantees: between 0 and 1;
k·map gives the same value, also for k < 0; a map that is 0 everywhere gives 0, with a warning. Costs no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "effective-size(above=0.1)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.complexity.strength import EMPTY, strength
from sightline.passes.passes import Passes
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class EffectiveSize(Metric):
    """The share of the picture that the map gives any weight at all."""

    aliases = ("effective-complexity",)

    above: Annotated[float, Range(0, 0.999), Doc("weights up to this share of the largest do not count")] = 1e-5

    traits = MetricTraits(
        family="complexity",
        better="lower",
        asks=False,
        range="0 to 1",
        cost="none",
        paper="Nguyen, Martínez, On quantitative aspects of model interpretability, 2020",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        values = strength(question.map)
        count = int(np.count_nonzero(values > self.above))
        warnings = () if values.any() else (EMPTY,)
        return Value(value=count / values.size, details={"pixels": count}, warnings=warnings)
