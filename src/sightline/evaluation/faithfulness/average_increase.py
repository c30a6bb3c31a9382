"""Average increase: is the target likelier when the picture is seen through its map?

    value  1 if O > Y, else 0, with Y, O, the map's part and the base as in `shown.py`

A. Chattopadhay, A. Sarkar, P. Howlader and V. N. Balasubramanian, "Grad-CAM++: Improved Visual Explanations for Deep
Convolutional Networks", WACV 2018, section 4.1, there "increase in confidence": the share of pictures with a 1. Higher
is better. torchcam's `ClassificationMetric` and pytorch-grad-cam's `IncreaseInConfidence` ask the same, the second of
the score it is given. Guarantees: 0 or 1; k·map with k > 0 gives the same value. Costs one forward pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "average-increase")
"""

from __future__ import annotations

from dataclasses import dataclass

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.shown import Base, Top, through_map
from sightline.images.fills import Mean
from sightline.passes.passes import Passes


@dataclass(frozen=True, kw_only=True)
class AverageIncrease(Metric):
    """Whether the target is likelier when the picture is seen through its map."""

    aliases = ("increase-in-confidence",)

    top: Top = None
    base: Base = Mean()

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="0 or 1",
        cost="2 F",
        paper="Chattopadhay, Sarkar, Howlader, Balasubramanian, Grad-CAM++: Improved Visual Explanations for Deep "
        "Convolutional Networks, WACV 2018",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        whole, through, warnings = through_map(passes, question, self.base, self.top)
        details = {"whole": whole, "through the map": through}
        return Value(value=float(through > whole), details=details, warnings=warnings)
