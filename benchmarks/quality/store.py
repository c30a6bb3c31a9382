"""What was measured, one JSON object a line: appended as it is found, so that a run can be killed and resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One map of one photograph, judged.

    Attributes:
        tool: `sightline`, a peer's package, or `baseline`.
        method: as that tool calls it.
        settings: all settings of the method, or the peer's version: other settings are another measurement.
        precision: of the passes that made the map.
        picture: the photograph's file name.
        pointing: 1 where the map's maximum lies on the object, else 0.
        energy: share of the map's positive part in the object's box.
        deletion: area under the deletion curve, or None where only the place was judged.
        insertion: area under the insertion curve, likewise.
        forward: passes that the map took.
        backward: passes back that the map took; None where a peer does not say.
        seconds: of one core for the map.
        like: the method whose map this one equals, so that its curves were taken over; or None.
    """

    tool: str
    method: str
    settings: str
    precision: str
    picture: str
    pointing: float
    energy: float
    deletion: float | None
    insertion: float | None
    forward: int
    backward: int | None
    seconds: float
    like: str | None = None

    @property
    def key(self) -> Key:
        """Which method, how, on which photograph."""
        return self.tool, self.method, f"{self.settings} {self.precision}", self.picture

    @property
    def faithful(self) -> float | None:
        """Insertion minus deletion: higher is better; None where the curves were not run."""
        return None if self.deletion is None or self.insertion is None else self.insertion - self.deletion


@dataclass(frozen=True, kw_only=True)
class Note:
    """A method that has no measurement, and why."""

    tool: str
    method: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A photograph that was measured, and how much of it the box of its object covers, 0 to 1."""

    picture: str
    share: float


@dataclass(frozen=True, kw_only=True)
class Check:
    """How far the area of one curve lies from that in float32, where both were run."""

    tool: str
    method: str
    picture: str
    metric: str
    apart: float


@dataclass(frozen=True, kw_only=True)
class Under:
    """The areas of a method of ours under the protocol of I-GOS: blur for both curves."""

    method: str
    settings: str
    picture: str
    blur_deletion: float
    blur_insertion: float


class Store:
    """The rows, notes, scenes and checks of a file. Several processes may append to it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> dict[Key, Row]:
        """Every measurement; of two of the same the one that says more, else the later.

        A last line that was cut off when a run was killed is passed over.
        """
        found: dict[Key, Row] = {}
        for row in (Row(**line) for line in self._lines() if "energy" in line):
            before = found.get(row.key)
            if before is None or before.deletion is None or row.deletion is not None:
                found[row.key] = row
        return found

    def notes(self) -> dict[tuple[str, str], str]:
        """Why a method of a tool was not measured; the last word counts."""
        found = (Note(**line) for line in self._lines() if "why" in line)
        return {(note.tool, note.method): note.why for note in found}

    def shares(self) -> dict[str, float]:
        """Of every photograph, the share that the box of its object covers."""
        return {line["picture"]: line["share"] for line in self._lines() if "share" in line}

    def checks(self) -> list[float]:
        """How far areas in bfloat16 lie from those in float32."""
        return [line["apart"] for line in self._lines() if "apart" in line]

    def under(self) -> dict[tuple[str, str], float]:
        """Insertion minus deletion under the protocol of I-GOS, by method and photograph: the last settings' ones."""
        found = [Under(**line) for line in self._lines() if "blur_deletion" in line]
        last = {one.method: one.settings for one in found}
        kept = [one for one in found if one.settings == last[one.method]]
        return {(one.method, one.picture): one.blur_insertion - one.blur_deletion for one in kept}

    def add(self, row: Row | Note | Scene | Check | Under) -> None:
        """Append one line: one write, so that neither a kill nor another process can mix lines."""
        line = json.dumps({name: _short(value) for name, value in asdict(row).items()}, ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").split("\n"):
                if line.startswith("{") and line.endswith("}"):
                    yield json.loads(line)


def _short(value: object) -> object:
    """Numbers with as many digits as mean something."""
    return round(value, 5) if isinstance(value, float) else value
