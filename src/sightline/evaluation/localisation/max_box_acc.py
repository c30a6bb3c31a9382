"""MaxBoxAcc: does a box drawn around what the map shows fit the object's box, at the best of all levels?

    IoU(τ)  the largest overlap of a box of the map, min-max scaled, above τ with a box of the object
    v2      mean over δ of 0.3, 0.5, 0.7 of [max_τ IoU(τ) ≥ δ], every part that hangs together with a box of its own
    v1      [max_τ IoU(τ) ≥ 0.5], the box of the largest part alone

J. Choe, S. J. Oh, S. Lee, S. Chun, Z. Akata and H. Shim, "Evaluating Weakly Supervised Object Localization Methods
Right", CVPR 2020 (MaxBoxAcc; MaxBoxAccV2 in the extended version, 2022). Over several pictures `sightline compare` and
`sightline evaluate` tell their number: for each δ the largest over τ of the share of pictures with IoU(τ) ≥ δ, so one
level for all pictures and each method, the lowest where several do equally well. It is chosen on the pictures that it
is told of, as there, and its interval is that at this level. One picture alone has its own best level, so that the mean
of single values, as `sightline.evaluate` gives them, is an upper bound of it. The object's boxes are those that were
given, or the boxes around the parts of the mask. Parts hang together also by corners; the largest is the one of most
pixels, where the authors' code takes the largest outline. Guarantees: between 0 and 1; k·map + c with k > 0 gives the
same value. A flat map gives the box of all that was seen. On the command line the boxes come from a file, as in
`sightline compare PICTURES --boxes boxes.csv --metrics max-box-acc`, or from the folder that `sightline evaluate` is
given. Costs no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "max-box-acc", mask=(120, 80, 310, 260))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.evaluation.aggregate import best_threshold
from sightline.evaluation.base import Curve, Jointly, Metric, Question, Value, is_flat
from sightline.evaluation.localisation.places import counted
from sightline.images.shapes import overlaps, parts
from sightline.passes.passes import Passes
from sightline.types import Doc, Range

_DELTAS = {"v1": (0.5,), "v2": (0.3, 0.5, 0.7)}


@dataclass(frozen=True, kw_only=True)
class MaxBoxAcc(Metric):
    """Whether a box around what the map shows fits the object's, at the best level."""

    version: Annotated[
        Literal["v2", "v1"], Doc("every part has its box and three overlaps count, or the largest part at 0.5")
    ] = "v2"
    levels: Annotated[int, Range(2, 1000), Doc("levels that are tried, from 0 on; Choe et al.: 100 or 1000")] = 100

    traits = counted(
        paper="Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR 2020",
        axes=("level", "overlap of the boxes"),
        joint=True,
    )

    def jointly(self, curves: Sequence[Curve]) -> Jointly:
        table, deltas = np.stack([curve.y for curve in curves]), _DELTAS[self.version]
        chosen = [best_threshold(table, curves[0].x, delta) for delta in deltas]
        hits = np.mean([table[:, one.place] >= delta for one, delta in zip(chosen, deltas, strict=True)], axis=0)
        levels = ", ".join(f"{one.threshold:.2g}" for one in chosen)
        overlap = ", ".join(f"{delta:g}" for delta in deltas)
        words = f"boxes at one level for all pictures, chosen on them: {levels} for an overlap of {overlap}"
        return Jointly(tuple(hits.tolist()), words)

    def measure(self, passes: Passes, question: Question) -> Value:
        given = np.asarray(question.boxes, np.float64) if len(question.boxes) else parts(question.object).boxes
        scaled = _scaled(question)
        levels = np.arange(self.levels) / self.levels
        heights = np.array([self._overlap(scaled > level, given) for level in levels])
        best = int(heights.argmax())
        hits = {f"hit at {delta:g}": float(heights[best] >= delta) for delta in _DELTAS[self.version]}
        warning = "the map is flat: its only box is that of all that the network was shown"
        return Value(
            value=sum(hits.values()) / len(hits),
            curve=Curve(levels, heights),
            details={"best overlap": float(heights[best]), "best level": float(levels[best]), **hits},
            warnings=(warning,) if is_flat(question.map) else (),
        )

    def _overlap(self, shown: NDArray[np.bool_], given: NDArray[np.float64]) -> float:
        """The largest overlap of a box around what is shown with a given one."""
        found = parts(shown)
        if not len(found.boxes):
            return 0.0
        boxes = found.boxes if self.version == "v2" else found.boxes[[int(found.pixels.argmax())]]
        return float(overlaps(boxes, given).max())


def _scaled(question: Question) -> NDArray[np.float64]:
    """The map from 0 to 1 over what was seen, −1 elsewhere; a flat one is 1."""
    values = question.picture_map.astype(np.float64)
    low, high = values[question.seen].min(), values[question.seen].max()
    scaled = (values - low) / (high - low) if high > low else np.ones_like(values)
    return np.where(question.seen, scaled, -1.0)
