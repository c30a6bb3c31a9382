"""Deletion: take the pixels away, the most important first, and watch the probability fall.

    h_i    probability of the target with the first i·p pixels of the order replaced by `base`
    value  area under h_0 … h_T; order, p, T and area as in `ranking.py`, which is RISE's protocol

V. Petsiuk, A. Das and K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
under "Evaluation Metrics". Their setting for 224 × 224 pixels is the default: 224 steps of 224 pixels, `base=mean`,
which is 0 in the network's units (grey where there is no normalisation); their averages over many pictures use
steps=28. Lower is better. Guarantees: between 0 and 1; a probability that is always p gives p; the map counts by its
order only, so k·map with k > 0 gives the same value. The value depends on `steps` and `base`: compare only values
with the same fields. It rewards scattered pixels that make pictures unlike any the network has learnt. Costs one
forward pass a step.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "deletion(steps=28)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.ranking import Steps, exchanged
from sightline.images.fills import Fill, Mean
from sightline.passes.passes import Passes
from sightline.types import Doc


@dataclass(frozen=True, kw_only=True)
class Deletion(Metric):
    """How fast the probability falls when the most important pixels are taken away."""

    steps: Steps = 224
    base: Annotated[Fill, Doc("what the pixels taken away show")] = Mean()

    traits = MetricTraits(
        family="faithfulness",
        better="lower",
        range="0 to 1",
        cost="1 F a step + 1 F",
        paper="Petsiuk, Das, Saenko, RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        base = self.base.make(question.pixels, passes.classifier.values)
        return exchanged(passes, question, base, self.steps, away=True)
