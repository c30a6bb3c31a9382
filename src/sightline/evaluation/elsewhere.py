"""A map against itself moved elsewhere: does it matter to the network where it points?

    s      insertion − deletion of the map
    s_k    the same of copies of the map, each moved around the edges by chance and perhaps mirrored
    ahead  (s − mean s_k) / spread of s_k, the spread being their standard deviation

The copies have the map's own values and grain, so that what is compared is *where* the map points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.attribution.result import Attribution
from sightline.evaluation.base import is_flat
from sightline.evaluation.baselines import moved
from sightline.evaluation.evaluate import judge_all
from sightline.evaluation.faithfulness.deletion import Deletion
from sightline.evaluation.faithfulness.insertion import Insertion
from sightline.evaluation.result import Judgement
from sightline.evaluation.subject import Subject, of_attribution
from sightline.passes.passes import Passes

_STILL = 1e-4
"""A spread below this, in probability, is none: nothing that is hidden moves the network."""


def judged(passes: Passes, subject: Subject, values: NDArray[np.float32], steps: int) -> list[Judgement]:
    """Deletion and insertion of a map in place of the subject's."""
    changed = dataclasses.replace(subject, map=values, picture_map=subject.frame.to_picture(values))
    return judge_all(passes, changed, (Deletion(steps=steps), Insertion(steps=steps)))


def in_spreads(own: float, copies: Sequence[float] | NDArray[np.float64]) -> float | None:
    """How far a value lies ahead of the copies', in their standard deviation; None where they have none."""
    each = np.asarray(copies, np.float64)
    spread = float(each.std(ddof=1))
    return None if spread < _STILL else (own - float(each.mean())) / spread


def ahead_of_copies(passes: Passes, one: Attribution, *, steps: int, copies: int, seed: int = 0) -> float | None:
    """How far a map is ahead of itself moved elsewhere; None for a flat map, or where nothing moves the score.

    Costs 2·steps·(copies + 1) forward passes, and one clean pass for all.
    """
    if is_flat(one.map):
        return None
    subject = of_attribution(one)
    subject = dataclasses.replace(subject, pixels=subject.pixels.to(passes.device))
    each = [one.map, *(moved(one.map, seed + place) for place in range(copies))]
    with passes.shared(subject.pixels):
        found = [judged(passes, subject, values, steps) for values in each]
    own, *others = (insertion.value - deletion.value for deletion, insertion in found)
    return in_spreads(own, others)
