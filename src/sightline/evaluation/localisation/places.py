"""The pixels of a picture that the network was shown, their values in the map, and which of them are the object's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.evaluation.base import MetricTraits, Question

KNOWS_NOTHING = "the map is flat, the same value everywhere: the value is what a map gets that knows nothing"


def counted(paper: str, range: str = "0 to 1", **more: Any) -> MetricTraits:
    """The traits of a metric that counts what lies on the object: it must be told where that is, and asks nothing."""
    return MetricTraits(
        family="localisation",
        better="higher",
        needs_mask=True,
        asks=False,
        range=range,
        cost="none",
        paper=paper,
        **more,
    )


@dataclass(frozen=True, eq=False)
class Places:
    """What was seen.

    Attributes:
        values: `n` float32, the map.
        on: `n` booleans, True on the object.
    """

    values: NDArray[np.float32]
    on: NDArray[np.bool_]

    @property
    def area(self) -> float:
        """The object's share of what was seen."""
        return float(np.count_nonzero(self.on) / self.on.size)


def places(question: Question) -> Places:
    """What the network was shown, pixel by pixel of the picture."""
    return Places(question.picture_map[question.seen], question.object[question.seen])


def share_of_largest(found: Places, count: int) -> float:
    """The share of the `count` largest values that lie on the object; of equal values each is as likely to be taken.

    0 for none of them: of an object that the network was not shown, which the base warns of.
    """
    if count == 0:
        return 0.0
    cut = np.partition(found.values, found.values.size - count)[found.values.size - count]
    above, equal = found.values > cut, found.values == cut
    sure = np.count_nonzero(above & found.on)
    left = count - np.count_nonzero(above)
    return float((sure + left * np.count_nonzero(equal & found.on) / np.count_nonzero(equal)) / count)
