"""RISE (2018) and I-GOS (2020): the order of methods by deletion and insertion, from what `make quality` measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quality.statistics import Mean, difference
from quality.store import Row
from quality.summary import Results, results

CLAIMS = (
    ("rise", "grad-cam", "RISE", "insertion"),
    ("rise", "grad-cam", "RISE", "deletion"),
    ("rise", "occlusion", "RISE", "insertion"),
    ("rise", "occlusion", "RISE", "deletion"),
    ("rise", "lime", "RISE", "insertion"),
    ("rise", "lime", "RISE", "deletion"),
    ("i-gos", "rise", "I-GOS", "deletion"),
    ("i-gos", "integrated-gradients", "I-GOS", "deletion"),
    ("i-gos", "integrated-gradients", "I-GOS", "insertion"),
    ("i-gos", "meaningful-perturbation", "I-GOS", "deletion"),
    ("i-gos", "meaningful-perturbation", "I-GOS", "insertion"),
    ("igos-plus-plus", "i-gos", "iGOS++", "insertion"),
    ("igos-plus-plus", "extremal-perturbation", "iGOS++", "insertion"),
    ("igos-plus-plus", "grad-cam", "iGOS++", "insertion"),
)
"""Which is said to be better than which, in which paper, by what."""


FEWEST = 5
"""Photographs, below which an interval says nothing."""


@dataclass(frozen=True)
class Outcome:
    """A claim, and the mean of better minus worse on the photographs that both have; above 0 is as claimed."""

    better: str
    worse: str
    paper: str
    metric: str
    found: Mean | None

    @property
    def words(self) -> str:
        """The difference, with its interval where there are photographs enough for one."""
        if self.found is None:
            return "–"
        interval = f" ({self.found.low:+.3f} … {self.found.high:+.3f})" if self.found.count >= FEWEST else ""
        return f"{self.found.value:+.3f}{interval}"

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        if self.found is None:
            return "not measured"
        if self.found.count < FEWEST:
            return "too few photographs to say"
        if self.found.clear:
            return "as claimed" if self.found.clear > 0 else "**the other way round**"
        return "as claimed, within noise" if self.found.value > 0 else "the other way round, within noise"


def outcomes(store: Path) -> Sequence[Outcome]:
    """Every claim beside what was measured."""
    measured = results(store)
    return [Outcome(*claim, _difference(measured, *claim)) for claim in CLAIMS]


def _difference(measured: Results, better: str, worse: str, _: str, metric: str) -> Mean | None:
    def read(row: Row) -> float | None:
        value = getattr(row, metric)
        return None if value is None else value if metric == "insertion" else -value

    one, other = (measured.of("sightline", name).values(read) for name in (better, worse))
    return difference(one, other)
