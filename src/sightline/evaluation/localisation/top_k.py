"""Top-k intersection: how many of the k largest values lie on the object?

    value = |largest k of the map ∩ object| / k

J. Theiner, E. Müller-Budack and R. Ewerth, "Interpretable Semantic Photo Geolocation", WACV 2022, there "top-k
intersection"; k = 1000 as in Quantus' `TopKIntersection`, or all pixels where the picture has fewer. Everything is
counted in the frame of the picture, over what the network was shown; of equal values at the edge each counts by its
chance to be among the k. The paper's concept influence is the value over the object's share of the picture, here `gain`
in the details. Guarantees: between 0 and 1; any increasing function of the map (in the picture's frame) gives the same
value; a flat map, or a random one on average, gives the object's share, `area` in the details. It looks at the k
largest alone: an object of fewer than k pixels keeps the best value below 1. Costs no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "top-k(k=2000)", mask="dog_mask.png")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from sightline.evaluation.base import Metric, Question, Value, is_flat
from sightline.evaluation.localisation.places import KNOWS_NOTHING, counted, places, share_of_largest
from sightline.passes.passes import Passes
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class TopK(Metric):
    """How many of the k largest values lie on the object."""

    k: Annotated[int, Range(1, 1 << 30), Doc("how many of the largest values count, pixels of the picture")] = 1000

    aliases: ClassVar[tuple[str, ...]] = ("top-k-intersection",)

    traits = counted(
        paper="Theiner, Müller-Budack, Ewerth, Interpretable Semantic Photo Geolocation, WACV 2022",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        found = places(question)
        k, object_size = min(self.k, found.values.size), int(np.count_nonzero(found.on))
        warnings = [KNOWS_NOTHING] if is_flat(question.map) else []
        if object_size < k:
            warnings.append(
                f"the object has {object_size} pixels, fewer than k = {k}: no map gets more than {object_size / k:.2f}"
            )
        value = share_of_largest(found, k)
        return Value(
            value=value,
            details={"k": k, "area": found.area, "gain": value / found.area if found.area else 0.0},
            warnings=tuple(warnings),
        )
