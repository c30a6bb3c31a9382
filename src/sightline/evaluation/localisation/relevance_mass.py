"""Relevance mass: the share of the map's positive part that lies on the object.

    value = Σ_{pixels of the mask} max(map, 0) / Σ_{all pixels} max(map, 0)

L. Arras, A. Osman and W. Samek, "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network
explanations", Information Fusion 2022, there "relevance mass accuracy"; with a box for a mask it is the energy-based
pointing game of H. Wang et al., "Score-CAM", CVPR Workshops 2020. Both sums are in the frame of the picture, over
what the network was shown. Evidence against the class (negative values) counts nowhere. A map without positive values
has no such share: the value is then 0, since nothing of it lies on the object, and a warning says so. Guarantees:
between 0 and 1; k·map with k > 0 gives the same value; a flat positive map gives the object's share of the picture,
which stands in the details as `area` and is what a map that knows nothing gets. Costs no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "relevance-mass", mask="dog_mask.png")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.passes.passes import Passes


@dataclass(frozen=True, kw_only=True)
class RelevanceMass(Metric):
    """How much of the map's positive part lies on the object."""

    aliases: ClassVar[tuple[str, ...]] = ("mask-share", "energy-in-mask", "energy-pointing-game")

    traits = MetricTraits(
        family="localisation",
        better="higher",
        needs_mask=True,
        asks=False,
        range="0 to 1",
        cost="none",
        paper="Arras, Osman, Samek, CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network "
        "explanations, Information Fusion 2022",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        positive = np.where(question.seen, question.picture_map, 0).clip(min=0).astype(np.float64)
        on_object = positive[question.object].sum()
        whole = on_object + positive[~question.object].sum()
        seen = np.count_nonzero(question.seen)
        area = float(np.count_nonzero(question.object & question.seen) / seen)
        if whole == 0:
            warning = "the map has no positive values, so there is no share of them on the object: counted as 0"
            return Value(value=0.0, details={"area": area}, warnings=(warning,))
        return Value(value=float(on_object / whole), details={"area": area})
