"""What the store says of each method: its photographs, its means, its difference from Grad-CAM."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from quality.photographs import DIFFICULT
from quality.statistics import Mean, difference, mean
from quality.store import Row, Store

REFERENCE = ("sightline", "grad-cam")


@dataclass(frozen=True, eq=False)
class Summary:
    """One method of one tool on some photographs: the rows by picture, all with the same settings."""

    tool: str
    method: str
    rows: dict[str, Row]

    @property
    def plain(self) -> str:
        """The method's name without settings."""
        return self.method.partition("(")[0]

    @property
    def is_variant(self) -> bool:
        """Whether it is a method of ours with other settings than its defaults."""
        return self.tool == "sightline" and self.plain != self.method

    @property
    def shown(self) -> str:
        """The method as a page names it: ours with a link to its page."""
        return f"[{self.method}](methods/{self.plain}.md)" if self.tool == "sightline" else self.method

    @property
    def one(self) -> Row:
        """Any of its rows, for what is the same in all."""
        return next(iter(self.rows.values()))

    def on(self, pictures: Iterable[str]) -> Summary:
        """The same on these photographs only."""
        wanted = set(pictures)
        return Summary(self.tool, self.method, {name: row for name, row in self.rows.items() if name in wanted})

    def values(self, read: Callable[[Row], float | None]) -> dict[str, float]:
        """A number of every photograph that has it."""
        return {name: value for name, row in self.rows.items() if (value := read(row)) is not None}

    def mean(self, read: Callable[[Row], float | None]) -> Mean | None:
        """Its mean with an interval."""
        return mean(list(self.values(read).values()))

    def against(self, other: Summary, read: Callable[[Row], float | None]) -> Mean | None:
        """The mean difference from another method on the photographs that both have."""
        return difference(self.values(read), other.values(read))


@dataclass(frozen=True, eq=False)
class Results:
    """All that was measured, and the photographs by kind."""

    summaries: tuple[Summary, ...]
    notes: dict[tuple[str, str], str]
    shares: dict[str, float]
    checks: list[float]
    under: dict[tuple[str, str], float]

    @property
    def difficult(self) -> frozenset[str]:
        """The photographs whose object is small."""
        return frozenset(name for name, share in self.shares.items() if share <= DIFFICULT)

    def of(self, tool: str, method: str) -> Summary:
        """One method; a method without rows has none."""
        found = (one for one in self.summaries if (one.tool, one.method) == (tool, method))
        return next(found, Summary(tool, method, {}))

    @property
    def reference(self) -> Summary:
        """Grad-CAM, which all are compared with."""
        return self.of(*REFERENCE)

    def on(self, pictures: Iterable[str]) -> Results:
        """The same on these photographs only."""
        kept = [one.on(pictures) for one in self.summaries]
        return Results(tuple(one for one in kept if one.rows), self.notes, self.shares, self.checks, self.under)


def faithful(row: Row) -> float | None:
    """Insertion minus deletion."""
    return row.faithful


def energy(row: Row) -> float:
    """The share of the map's positive part in the box."""
    return row.energy


def results(path: Path) -> Results:
    """What a store holds; of a method measured with several settings, those that came last."""
    store = Store(path)
    settings: dict[tuple[str, str], str] = {}
    groups: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in store.rows().values():
        way = f"{row.settings} {row.precision}"
        settings[row.tool, row.method] = way
        groups.setdefault((row.tool, row.method, way), {})[row.picture] = row
    found = [Summary(tool, method, groups[tool, method, way]) for (tool, method), way in settings.items()]
    measured = {(one.tool, one.method) for one in found}
    notes = {key: why for key, why in store.notes().items() if key not in measured}
    seen = {picture for one in found for picture in one.rows}
    shares = {picture: share for picture, share in store.shares().items() if picture in seen}
    return Results(tuple(found), notes, shares, store.checks(), store.under())
