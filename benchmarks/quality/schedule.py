"""Who is measured next: every method on the first photograph, then on the second …, each within its share of time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Schedule:
    """Deals out time.

    Attributes:
        names: who is measured.
        pictures: how many photographs there are.
        seconds: after so much time no turn begins.
        share: seconds that each name may use for its maps.
        done: (name, picture) that need not be measured again.
        spent: the seconds of every map that each name has made so far.
    """

    names: Sequence[str]
    pictures: int
    seconds: float
    share: float
    done: set[tuple[str, int]] = field(default_factory=set)
    spent: dict[str, list[float]] = field(default_factory=dict)

    def turns(self) -> Iterator[tuple[str, int]]:
        """Who is measured on which photograph, photograph by photograph, until the time is over.

        A name passes its turn when one more map would take it over its share; its first is always made.
        """
        end = time.monotonic() + self.seconds
        for picture in range(self.pictures):
            for name in self.names:
                if time.monotonic() >= end:
                    return
                if (name, picture) not in self.done and self._affords(name):
                    yield name, picture

    def spend(self, name: str, seconds: float) -> None:
        """Count one map."""
        self.spent.setdefault(name, []).append(seconds)

    def _affords(self, name: str) -> bool:
        made = self.spent.get(name, [])
        return not made or sum(made) + sum(made) / len(made) <= self.share
