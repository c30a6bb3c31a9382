"""Average gain: how much of what was missing to certainty is won when the picture is seen through its map.

    value  max(0, O − Y) / (1 − Y), with Y, O, the map's part and the base as in `shown.py`

H. Zhang, F. Torres, R. Sicre, Y. Avrithis and S. Ayache, "Opti-CAM: Optimizing saliency maps for interpretability",
Computer Vision and Image Understanding 2024, arXiv 2301.07002, there the mean over pictures, as the counterpart of
average drop. Higher is better. Where the network is certain (Y = 1) there is nothing to win: the value is then 0, with
a warning. xplique's `AverageGainMetric` shows the absolute value of the map. Guarantees: between 0 and 1, and 0
wherever average drop is above 0; k·map with k > 0 gives the same value. Costs one forward pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "average-gain")
"""

from __future__ import annotations

from dataclasses import dataclass

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.shown import Base, Top, through_map
from sightline.images.fills import Mean
from sightline.passes.passes import Passes


@dataclass(frozen=True, kw_only=True)
class AverageGain(Metric):
    """How much of what was missing to certainty is won when the picture is seen through its map."""

    top: Top = None
    base: Base = Mean()

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="0 to 1",
        cost="2 F",
        paper="Zhang, Torres, Sicre, Avrithis, Ayache, Opti-CAM: Optimizing saliency maps for interpretability, "
        "CVIU 2024",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        whole, through, warnings = through_map(passes, question, self.base, self.top)
        details = {"whole": whole, "through the map": through}
        if whole >= 1:
            warnings += ("the network is certain of the target in the whole picture: nothing can be won, counted as 0",)
            return Value(value=0.0, details=details, warnings=warnings)
        return Value(value=max(0.0, through - whole) / (1 - whole), details=details, warnings=warnings)
