"""What was measured, as JSON: a record for each race on each network, replaced whole when it is run again.

A ratio holds within one run only, since everybody in it ran in turn; so nothing of an older run is mixed in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One contestant of a race.

    Attributes:
        name: `float32` or `fast` for ours, else the package.
        call: what it was asked, in words.
        layout: `given`, or `channels last` where network and pictures were laid so for it.
        seconds: for the whole work: the median of the goes, scaled to all parts and pictures.
        each: seconds of each go, as they ran.
        memory: MiB over what the process held before it.
        spearman, difference: the worst agreement of its maps with ours in float32; none where they are not compared.
        failed: why it was not measured.
    """

    name: str
    call: str = ""
    layout: str = "given"
    seconds: float | None = None
    each: list[float] = field(default_factory=list)
    memory: float = 0.0
    spearman: float | None = None
    difference: float | None = None
    failed: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is Sightline."""
        return self.name in ("float32", "fast")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A race on one network.

    Attributes:
        race, network: which.
        title, note: the race's words on the page.
        targets: the ratios that are asked for, in float32 and fast; none where there are none.
        within: times its limit that the work may take, where that is asked for.
        parts, of: how many parts were run, of how many that the seconds are scaled to.
        threads, clock, date, load: how, when, and the machine's load average before and after.
        about: the machine and the versions.
        limit: seconds by precision.
        plain: seconds a picture of plain passes, by precision, kind and batch, then by way.
        entries: everybody in it.
    """

    race: str
    network: str
    parts: int
    of: int
    title: str
    note: str
    targets: list[float]
    within: float | None
    threads: int
    clock: str
    date: str
    load: list[float]
    about: dict[str, Any]
    limit: dict[str, float | None]
    plain: dict[str, dict[str, float]]
    entries: list[Entry]

    @property
    def key(self) -> tuple[str, str]:
        """What it is a measurement of."""
        return (self.race, self.network)

    def entry(self, name: str) -> Entry | None:
        """Ours by precision, where it was measured."""
        return next((one for one in self.entries if one.name == name and one.seconds is not None), None)

    def fastest(self, layout: str) -> Entry | None:
        """The fastest package that was given the network in this layout."""
        others = [one for one in self.entries if not one.ours and one.layout == layout and one.seconds is not None]
        return min(others, key=lambda one: one.seconds or 0.0, default=None)

    def ratio(self, precision: str, layout: str = "given") -> float | None:
        """How many times as long the fastest package takes."""
        own, other = self.entry(precision), self.fastest(layout)
        if own is None or other is None:
            return None
        return (other.seconds or 0.0) / (own.seconds or 1.0)

    def spread(self) -> float:
        """The longest go in times of the shortest, at the worst: what else ran on the machine shows here."""
        spreads = [max(one.each) / min(one.each) for one in self.entries if len(one.each) > 1]
        return max(spreads, default=1.0)


def read(path: Path) -> dict[tuple[str, str], Record]:
    """What was kept."""
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))["records"]
    records = [Record(**{**one, "entries": [Entry(**entry) for entry in one["entries"]]}) for one in kept]
    return {record.key: record for record in records}


def write(path: Path, records: Iterable[Record]) -> None:
    """Keep the records, a line for each contestant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(_text(record) for record in records)
    path.write_text(f'{{"records": [\n{text}\n]}}\n', encoding="utf-8")


def _text(record: Record) -> str:
    fields = asdict(record)
    entries = ",\n   ".join(json.dumps(entry, ensure_ascii=False) for entry in fields.pop("entries"))
    head = json.dumps(fields, ensure_ascii=False)
    return f' {head[:-1]}, "entries": [\n   {entries}\n ]}}'
