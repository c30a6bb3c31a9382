"""Insertion: begin with next to nothing, put the most important pixels back first, and watch the probability rise.

    h_i    probability of the target in `base` with the first i·p pixels of the order as in the picture
    value  area under h_0 … h_T; order, p, T and area as in `ranking.py`, which is RISE's protocol

V. Petsiuk, A. Das and K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
under "Evaluation Metrics". Their setting for 224 × 224 pixels is the default: 224 steps of 224 pixels, and the
picture under their own blur (`base=rise-blur`: 11 pixels wide, σ 5, zeros beyond the edges); their averages over many
pictures use steps=28. Higher is better. Guarantees: between 0 and 1; a probability that is always p gives p; the map
counts by its order only, so k·map with k > 0 gives the same value. What the blur leaves is there from the start: on
pictures much larger than 224 pixels give a wider one, `base=blur(sigma=20)`. Compare only values with the same
fields. Costs one forward pass a step.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "insertion(steps=28, base=blur(sigma=5))")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.ranking import Steps, exchanged
from sightline.images.fills import Fill, RiseBlur
from sightline.passes.passes import Passes
from sightline.types import Doc


@dataclass(frozen=True, kw_only=True)
class Insertion(Metric):
    """How fast the probability rises when the most important pixels are put back."""

    steps: Steps = 224
    base: Annotated[Fill, Doc("what is shown before any pixel is put back")] = RiseBlur()

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="0 to 1",
        cost="1 F a step + 1 F",
        paper="Petsiuk, Das, Saenko, RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        base = self.base.make(question.pixels, passes.classifier.values)
        return exchanged(passes, question, base, self.steps, away=False)
