"""One row of a comparison, and how it stands in one metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sightline.evaluation.aggregate import Interval
from sightline.evaluation.differences import Difference


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One row: a method, a baseline or the maps of another tool.

    Attributes:
        name: the method's text, or what the maps are called.
        kind: `method`, `baseline` (it knows nothing of the network) or `maps` (of another tool).
        forward, backward: passes for a picture on average, the clean pass included.
        seconds: for a picture on average, the clean pass not included; None where it was not measured.
    """

    name: str
    kind: str = "method"
    forward: float = 0.0
    backward: float = 0.0
    seconds: float | None = None

    @property
    def passes(self) -> float:
        """Forward and backward together."""
        return self.forward + self.backward


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One row in one metric.

    Attributes:
        interval: the mean over its pictures.
        rank: on average over the pictures that all rows have, 1 the best; None where they have none in common.
        to_best: its difference to the best method; None for that method itself.
        to_chance: its difference to the best baseline; None for that baseline itself.
        front: no other method is better at the same cost in passes, or cheaper at the same value.
        by_class: the mean over classes, for the pointing game with several classes.
    """

    interval: Interval
    rank: float | None
    to_best: Difference | None
    to_chance: Difference | None
    front: bool
    by_class: Interval | None = None

    def record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            **self.interval.record(),
            "rank": self.rank,
            "to_best": None if self.to_best is None else self.to_best.record(),
            "to_chance": None if self.to_chance is None else self.to_chance.record(),
            "front": self.front,
            "by_class": None if self.by_class is None else self.by_class.record(),
        }
