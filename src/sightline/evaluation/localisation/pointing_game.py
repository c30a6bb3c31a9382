"""Pointing game: does the maximum of the map lie on the object?

    value  1 (a hit) if the maximum lies on the mask or less than `tolerance` pixels from one of its pixels, else 0

J. Zhang, S. A. Bargal, Z. Lin, J. Brandt, X. Shen and S. Sclaroff, "Top-Down Neural Attention by Excitation
Backprop", IJCV 2018, under "The Pointing Game"; tolerance and strict < as in TorchRay (Fong, Patrick and Vedaldi,
ICCV 2019). Maximum, mask and distance are in the frame of the picture, distances between the centres of pixels. Of
several equal maxima the first in reading order counts, with a warning; parts of the picture that the network was not
shown do not count. Their accuracy is the mean of the values, class by class. Guarantees: any increasing function of
the map (in the picture's frame) gives the same value. Costs no pass.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "pointing-game", mask=(120, 80, 310, 260))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from sightline.evaluation.base import FLAT, Metric, Question, Value, is_flat
from sightline.evaluation.localisation.places import counted
from sightline.passes.passes import Passes
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class PointingGame(Metric):
    """Whether the maximum of the map lies on the object."""

    tolerance: Annotated[
        float, Range(0, 1 << 20), Doc("how far from the object is still a hit, in pixels of the picture")
    ] = 15.0

    traits = counted(
        range="0 or 1",
        paper="Zhang et al., Top-Down Neural Attention by Excitation Backprop, IJCV 2018",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        shown = np.where(question.seen, question.picture_map, -np.inf)
        row, column = (int(place) for place in np.unravel_index(shown.argmax(), shown.shape))
        rows, columns = np.nonzero(question.object)
        squared = int(((rows - row) ** 2 + (columns - column) ** 2).min())
        equal = int((shown == shown[row, column]).sum())
        warnings = [FLAT] if is_flat(question.map) else []
        if equal > 1 and not warnings:
            warnings.append(f"{equal} pixels share the map's maximum: the first in reading order was taken")
        return Value(
            value=float(squared == 0 or squared < self.tolerance**2),
            details={"row": row, "column": column, "distance": squared**0.5},
            warnings=tuple(warnings),
        )
