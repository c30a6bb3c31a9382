"""Gini: how unevenly the map is spread over the picture.

    value  Σ_i (2i − n − 1) a_(i) / (n Σ_i a_(i)), a_(1) ≤ … ≤ a_(n) the absolute values of the map

P. Chalasani, J. Chen, A. R. Chowdhury, S. Jha and X. Wu, "Concise Explanations of Neural Networks using Adversarial
Training", ICML 2020; Quantus' `Sparseness`, which adds 1e-7 to every value. Higher is sparser, which is
easier to read and no sign of truth. A map that is 0 everywhere gives 0, with a warning. Guarantees: 0 where all
absolute values are equal, 1 − 1/n where all lie in one of n pixels; k·map gives the same value, also for k < 0. Costs
no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "gini")
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.complexity.strength import EMPTY, strength
from sightline.passes.passes import Passes


@dataclass(frozen=True, kw_only=True)
class Gini(Metric):
    """How unevenly the map is spread: 0 all alike, near 1 all in one pixel."""

    aliases = ("sparseness",)

    traits = MetricTraits(
        family="complexity",
        better="higher",
        asks=False,
        range="0 to 1",
        cost="none",
        paper="Chalasani et al., Concise Explanations of Neural Networks using Adversarial Training, ICML 2020",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        values = np.sort(strength(question.map))
        if values[-1] == 0:
            return Value(value=0.0, warnings=(EMPTY,))
        places = np.arange(1, values.size + 1)
        found = (2 * places - values.size - 1) @ values / (values.size * values.sum())
        return Value(value=max(0.0, float(found)))  # all alike is 0 up to rounding
