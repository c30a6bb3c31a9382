"""Entropy: over how many pixels the map is spread, as the entropy of its shares.

    P_i    |map_i| / Σ_j |map_j|
    value  −Σ_i P_i ln P_i, in nats, with 0 · ln 0 = 0

U. Bhatt, A. Weller and J. M. F. Moura, "Evaluating and Aggregating Feature-based Model Explanations", IJCAI 2020,
there the complexity μ_C, arXiv 2005.00631; Quantus' `Complexity`, which adds 1e-12 in the logarithm. Lower is
simpler, which is easier to read and no sign of truth. In the details stands `pixels`, e to the value: a map that is
even over so many pixels and 0 elsewhere has the same entropy. A map that is 0 everywhere gives 0, with a warning.
Guarantees: from 0, all in one pixel, to ln n where n pixels are alike (10.8 for 224 × 224); k·map gives the same value,
also for k < 0. Costs no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "entropy")
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.complexity.strength import EMPTY, strength
from sightline.passes.passes import Passes


@dataclass(frozen=True, kw_only=True)
class Entropy(Metric):
    """Over how many pixels the map is spread, as an entropy in nats."""

    aliases = ("complexity",)

    traits = MetricTraits(
        family="complexity",
        better="lower",
        asks=False,
        range="0 to ln(pixels)",
        cost="none",
        paper="Bhatt, Weller, Moura, Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        values = strength(question.map)
        if not values.any():
            return Value(value=0.0, details={"pixels": 0.0}, warnings=(EMPTY,))
        shares = values[values > 0] / values.sum()
        found = max(0.0, float(-(shares * np.log(shares)).sum()))
        return Value(value=found, details={"pixels": float(np.exp(found))})
