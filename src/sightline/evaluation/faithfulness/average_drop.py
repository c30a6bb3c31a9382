"""Average drop: which share of the probability is lost when the picture is seen through its map.

    value  max(0, Y − O) / Y, with Y, O, the map's part and the base as in `shown.py`

A. Chattopadhay, A. Sarkar, P. Howlader and V. N. Balasubramanian, "Grad-CAM++: Improved Visual Explanations for Deep
Convolutional Networks", WACV 2018, section 4.1; the average over pictures, often in %, is theirs, this is one picture's
part. Lower is better. torchcam's `ClassificationMetric` is this one (plus 1e-7 below the line); pytorch-grad-cam's
`DropInConfidence` is not divided by Y and takes whatever score it is given; xplique shows the absolute value of the
map. Some averages in the literature are over the pictures with a drop only, which is larger. Guarantees: between 0 and
1; a map that is 1 everywhere it matters loses nothing; k·map with k > 0 gives the same value. It rewards maps that
show much: read it together with average gain, or take `adcc`. Costs one forward pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "average-drop")
"""

from __future__ import annotations

from dataclasses import dataclass

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.scoring import to_divide_by
from sightline.evaluation.faithfulness.shown import Base, Top, through_map
from sightline.images.fills import Mean
from sightline.passes.passes import Passes


@dataclass(frozen=True, kw_only=True)
class AverageDrop(Metric):
    """Which share of the probability is lost when the picture is seen through its map."""

    top: Top = None
    base: Base = Mean()

    traits = MetricTraits(
        family="faithfulness",
        better="lower",
        range="0 to 1",
        cost="2 F",
        paper="Chattopadhay, Sarkar, Howlader, Balasubramanian, Grad-CAM++: Improved Visual Explanations for Deep "
        "Convolutional Networks, WACV 2018",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        whole, through, warnings = through_map(passes, question, self.base, self.top)
        return Value(
            value=share_lost(whole, through, self.name),
            details={"whole": whole, "through the map": through},
            warnings=warnings,
        )


def share_lost(whole: float, through: float, metric: str) -> float:
    """max(0, Y − O) / Y.

    Raises:
        UsageError: Y is 0.
    """
    return max(0.0, whole - through) / to_divide_by(whole, metric)
