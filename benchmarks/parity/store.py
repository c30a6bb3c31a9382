"""What was measured, as JSON: one record for each row, network, layer and photograph, so that runs can be joined."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from parity.rows import Row


@dataclass(frozen=True)
class Record:
    """One comparison on one photograph.

    Attributes:
        peer, ours, call: which row; `ours` is the method's text.
        network, layer, photograph: before what.
        difference: the largest one in parts of the peer's largest value.
        spearman: correlation of the ranks.
        seconds: ours and theirs.
    """

    peer: str
    ours: str
    call: str
    network: str
    layer: str
    photograph: str
    difference: float
    spearman: float
    seconds: tuple[float, float] = (0.0, 0.0)

    @property
    def key(self) -> tuple[str, ...]:
        """What it is a measurement of."""
        return (self.peer, self.ours, self.call, self.network, self.layer, self.photograph)


@dataclass(frozen=True)
class Line:
    """A row of the page: the worst over photographs and layers, network by network.

    Attributes:
        peer, method, ours, call, tolerance, why: of the row.
        networks: name → largest difference, least correlation, photographs, the layers that were looked at.
    """

    peer: str
    method: str
    ours: str
    call: str
    tolerance: float | None
    why: str
    networks: dict[str, dict[str, Any]]


def worst(rows: Sequence[Row], records: Iterable[Record]) -> list[Line]:
    """The rows with the worst of their records; a row that was not measured is left out."""
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        found.setdefault((record.peer, record.ours, record.call), []).append(record)
    lines = []
    for row in rows:
        own = found.get((row.peer, row.ours, row.call), [])
        networks = {name: _worst([one for one in own if one.network == name]) for name in row.networks}
        measured = {name: one for name, one in networks.items() if one}
        if measured:
            lines.append(Line(row.peer, row.method, row.ours, row.call, row.tolerance, row.why, measured))
    return lines


def _worst(records: list[Record]) -> dict[str, Any]:
    if not records:
        return {}
    return {
        "difference": max(record.difference for record in records),
        "spearman": min(record.spearman for record in records),
        "photographs": len({record.photograph for record in records}),
        "layers": sorted({record.layer for record in records}, reverse=True),
        "worst": max(records, key=lambda record: record.difference).photograph,
    }


def write(path: Path, about: dict[str, Any], lines: Sequence[Line], records: Iterable[Record]) -> None:
    """Keep what was measured: what the page says, then every record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [_row(line) for line in lines]
    each = [json.dumps(list(asdict(record).values()), ensure_ascii=False) for record in records]
    head = json.dumps({"about": about, "rows": rows}, ensure_ascii=False, indent=1)
    body = ",\n  ".join(each)
    path.write_text(f'{head[:-2]},\n "records": [\n  {body}\n ]\n}}\n', encoding="utf-8")


def read(path: Path) -> tuple[dict[str, Any], list[Line], list[Record]]:
    """What was kept: about the run, the rows of the page, and every record."""
    if not path.is_file():
        return {}, [], []
    kept = json.loads(path.read_text(encoding="utf-8"))
    names = [field.name for field in fields(Record)]
    records = [Record(**dict(zip(names, [*record[:-1], tuple(record[-1])], strict=True))) for record in kept["records"]]
    return kept["about"], [Line(**row) for row in kept["rows"]], records


def _row(line: Line) -> dict[str, Any]:
    rounded = {
        name: {**one, "difference": _rounded(one["difference"]), "spearman": _rounded(one["spearman"], 6)}
        for name, one in line.networks.items()
    }
    return {**asdict(line), "networks": rounded}


def _rounded(number: float, digits: int = 3) -> float:
    return float(f"{number:.{digits}g}")
