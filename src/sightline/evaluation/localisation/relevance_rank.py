"""Relevance rank: of as many pixels as the object has, the largest in the map, how many lie on the object?

    value = |largest K of the map ∩ object| / K,   K = |object|

L. Arras, A. Osman and W. Samek, "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network
explanations", Information Fusion 2022, there "relevance rank accuracy". Everything is counted in the frame of the
picture, over what the network was shown. Of equal values at the edge of the K largest each counts by its chance to be
among them, so that the value does not depend on the order in which pixels are read; Quantus'
`RelevanceRankAccuracy` takes those that its sort puts last. Guarantees: between 0 and 1; any increasing function of
the map (in the picture's frame) gives the same value; a flat map, or a random one on average, gives the object's share
of the picture, which stands in the details as `area`. Costs no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "relevance-rank", mask="dog_mask.png")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sightline.evaluation.base import Metric, Question, Value, is_flat
from sightline.evaluation.localisation.places import KNOWS_NOTHING, counted, places, share_of_largest
from sightline.passes.passes import Passes


@dataclass(frozen=True, kw_only=True)
class RelevanceRank(Metric):
    """How many of the largest values, as many as the object has pixels, lie on the object."""

    aliases: ClassVar[tuple[str, ...]] = ("relevance-rank-accuracy",)

    traits = counted(
        paper="Arras, Osman, Samek, CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network "
        "explanations, Information Fusion 2022",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        found = places(question)
        return Value(
            value=share_of_largest(found, int(np.count_nonzero(found.on))),
            details={"area": found.area},
            warnings=(KNOWS_NOTHING,) if is_flat(question.map) else (),
        )
