"""Area under the ROC curve: is a pixel of the object ranked above one beside it?

    value = P(map at a pixel of the object > map at a pixel beside it) + ½ P(both are equal)

The area under the curve of the share of the object's pixels above a level (true positives) over the share of the other
pixels above it (false positives), for all levels; the probability above is the same number (J. A. Hanley and
B. J. McNeil, "The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve", Radiology 1982).
T. Fawcett, "An introduction to ROC analysis", 2006, is what Quantus' `AUC` cites, and the numbers are the same. Counted
in the frame of the picture, over what the network was shown. Guarantees: between 0 and 1, chance and a flat map are
½ whatever the object's size; −map gives 1 − value; any increasing function of the map gives the same value. A
threshold does not matter, nor how large the values are. Where the object is all that the network was shown, or nothing
of it, there is no such area: the value is then ½, with a warning. Costs no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "auc", mask="dog_mask.png")
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.evaluation.base import Curve, Metric, Question, Value, is_flat
from sightline.evaluation.localisation.places import KNOWS_NOTHING, Places, counted, places
from sightline.passes.passes import Passes

_MOST_POINTS = 200
_NOTHING = (
    "the object and what lies beside it cannot be compared, since one of them was not shown to the network: 0.5 by rule"
)


@dataclass(frozen=True, kw_only=True)
class Auc(Metric):
    """How surely a pixel of the object is ranked above one beside it."""

    traits = counted(
        range="0 to 1, chance 0.5",
        paper="Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 2006",
        axes=("share of the rest above the level", "share of the object above it"),
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        found = places(question)
        if found.on.all() or not found.on.any():
            return Value(value=0.5, details={"area": found.area}, warnings=(_NOTHING,))
        hits, misses = _rates(found)
        few = np.unique(np.linspace(0, len(hits) - 1, min(len(hits), _MOST_POINTS)).round().astype(int))
        return Value(
            value=float(np.trapezoid(hits, misses)),
            curve=Curve(misses[few], hits[few]),
            details={"area": found.area},
            warnings=(KNOWS_NOTHING,) if is_flat(question.map) else (),
        )


def _rates(found: Places) -> tuple[np.ndarray, np.ndarray]:
    """The shares of the object and of the rest that lie above each level, from none to all; equal values together."""
    levels, place = np.unique(-found.values, return_inverse=True)
    on = np.bincount(place[found.on], minlength=len(levels)).cumsum()
    off = np.bincount(place[~found.on], minlength=len(levels)).cumsum()
    return np.r_[0, on / on[-1]], np.r_[0, off / off[-1]]
