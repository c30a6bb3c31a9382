"""Efficient randomisation of parameters: does the map become more complex when the network forgets all it has learnt?

    value = (H(map of the network drawn anew) − H(map)) / H(map)
    H     = −Σ_i q_i ln q_i, q_i = share of the pixels whose |map| lies in the i-th of `bins` even bins of its range

eMPRT of A. Hedström, L. Weber, S. Lapuschkin and M. Höhne, "Sanity Checks Revisited: An Exploration to Repair the Model
Parameter Randomisation Test", XAI in Action Workshop, NeurIPS 2023, arXiv 2401.06465, section 4.2: no similarity of two
maps, whose choice decides the outcome, and the network drawn anew once as a whole. A map that tells something of a
learnt function has few values, one of noise has many; above 0 the map lost structure with the training, 0 or below it
did not. Quantus' `EfficientMPRT` finds the number of bins from the data unless it is told (100 is its default for the
function alone). Guarantees: k·map with k > 0 has the same H; a method that does not look at the parameters gets 0. What
is drawn is that of `parameter-randomisation` with the same seed after its last stage. Costs the method's passes twice.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "efficient-parameter-randomisation")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from sightline.evaluation.again import Given, clean_map, maps_of
from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.sanity.cascade import groups, redrawn
from sightline.passes.passes import Passes
from sightline.types import Doc, Range, Seed


@dataclass(frozen=True, kw_only=True)
class EfficientParameterRandomisation(Metric):
    """How much more complex the map becomes when all parameters are drawn anew."""

    bins: Annotated[int, Range(2, 100_000), Doc("of the histogram of the map's values")] = 100
    seed: Seed = 0

    aliases: ClassVar[tuple[str, ...]] = ("emprt",)

    traits = MetricTraits(
        family="sanity",
        better="higher",
        range="-1 and above",
        cost="the method's twice",
        paper="Hedström, Weber, Lapuschkin, Höhne, Sanity Checks Revisited, XAI in Action, NeurIPS 2023",
        needs_method=True,
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        own, warnings = clean_map(passes, question)
        each = groups(passes, question, "top-down", 1)
        with redrawn(passes, each, self.seed, independent=False) as others:
            (map,) = [maps_of(other, question, Given(question.pixels))[0] for other in others]
        before, after = self._entropy(own.numpy()), self._entropy(map.numpy())
        if before == 0:
            warnings += ("the map is flat: it has no complexity that could rise, and the value is 0 by rule",)
        return Value(
            value=(after - before) / before if before else 0.0,
            details={"entropy": before, "entropy drawn anew": after},
            warnings=warnings,
        )

    def _entropy(self, map: NDArray[np.float32]) -> float:
        counts, _ = np.histogram(np.abs(map).astype(np.float64), self.bins)
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum()) + 0.0
