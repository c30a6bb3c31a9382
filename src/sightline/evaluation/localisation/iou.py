"""Intersection over union: the map turned into a mask, against the object's.

    value = |S ∩ object| / |S ∪ object|,   S = the pixels where the map is positive and not below a level

The level is a part of the map's maximum (`fixed(share=0.5)`), the value that a part of the pixels does not reach
(`quantile(share=0.9)`), or the one that parts the values best (`otsu`, N. Otsu 1979, the default, since it has no
parameter to tune). Measures of this kind judge weakly supervised localisation: B. Zhou, A. Khosla, A. Lapedriza,
A. Oliva and A. Torralba, "Learning Deep Features for Discriminative Localization", CVPR 2016, with 0.2 of the maximum,
and J. Choe et al., CVPR 2020, who show that the level decides more than the method: compare values of one threshold
only, or take `max-box-acc`. Everything is counted in the frame of the picture, over what the network was shown.
Guarantees: between 0 and 1; k·map with k > 0 gives the same value; 1 if and only if the two masks are equal. Costs no
pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "iou(threshold=fixed)", mask="dog_mask.png")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.evaluation.base import Metric, Question, Value
from sightline.evaluation.localisation.places import counted, places
from sightline.images.thresholds import Otsu, Threshold
from sightline.passes.passes import Passes
from sightline.types import Doc


@dataclass(frozen=True, kw_only=True)
class Iou(Metric):
    """How well the map, turned into a mask, covers the object and nothing else."""

    threshold: Annotated[Threshold, Doc("from which value on a pixel belongs to the mask")] = Otsu()

    traits = counted(
        paper="Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        found = places(question)
        shown = self.threshold.mask(found.values)
        both, either = int((shown & found.on).sum()), max(int((shown | found.on).sum()), 1)
        precision = both / max(int(shown.sum()), 1)
        warning = "the map has no positive values: nothing of it can be on the object"
        return Value(
            value=both / either,
            details={"area": found.area, "shown": float(shown.mean()), "precision": precision},
            warnings=() if shown.any() else (warning,),
        )
