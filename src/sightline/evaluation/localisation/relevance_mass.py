"""Relevance mass: the share of the map's positive part that lies on the object.

    value = Σ_{pixels of the mask} r / Σ_{all pixels} r,   r = max(map, 0), or |map| with sign=absolute

L. Arras, A. Osman and W. Samek, "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network
explanations", Information Fusion 2022, there "relevance mass accuracy"; with a box for a mask it is the energy-based
pointing game of H. Wang et al., "Score-CAM", CVPR Workshops 2020, and the attribution localisation of M. Kohlbrenner et
al., "Towards Best Practice in Explaining Neural Network Decisions with LRP", IJCNN 2020; their weighted form, the value
over the object's share of the picture, is `gain` in the details. Both sums are in the frame of the picture, over
what the network was shown. Evidence against the class (negative values) counts nowhere; with sign=absolute, as
Quantus' `AttributionLocalisation` has it, it counts like evidence for it. A map without positive values
has no such share: the value is then 0, since nothing of it lies on the object, and a warning says so. Guarantees:
between 0 and 1; k·map with k > 0 gives the same value; a flat positive map gives the object's share of the picture,
which stands in the details as `area` and is what a map that knows nothing gets. Costs no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "relevance-mass", mask="dog_mask.png")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from sightline.evaluation.base import Metric, Question, Value
from sightline.evaluation.localisation.places import counted
from sightline.passes.passes import Passes
from sightline.types import Doc


@dataclass(frozen=True, kw_only=True)
class RelevanceMass(Metric):
    """How much of the map's positive part lies on the object."""

    sign: Annotated[
        Literal["positive", "absolute"], Doc("whether evidence against the class counts like evidence for it")
    ] = "positive"

    aliases: ClassVar[tuple[str, ...]] = (
        "mask-share",
        "energy",
        "energy-in-mask",
        "energy-pointing-game",
        "attribution-localisation",
    )

    traits = counted(
        paper="Arras, Osman, Samek, CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network "
        "explanations, Information Fusion 2022",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        shown = np.where(question.seen, question.picture_map, 0).astype(np.float64)
        positive = shown.clip(min=0) if self.sign == "positive" else np.abs(shown)
        on_object = positive[question.object].sum()
        whole = on_object + positive[~question.object].sum()
        seen = np.count_nonzero(question.seen)
        area = float(np.count_nonzero(question.object & question.seen) / seen)
        if whole == 0:
            none = "positive values" if self.sign == "positive" else "values but 0"
            warning = f"the map has no {none}, so there is no share of them on the object: counted as 0"
            return Value(value=0.0, details={"area": area, "gain": 0.0}, warnings=(warning,))
        value = float(on_object / whole)
        return Value(value=value, details={"area": area, "gain": value / area if area else 0.0})
