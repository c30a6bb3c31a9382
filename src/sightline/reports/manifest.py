"""manifest.json: what a run did, for programs. One version number, one reader.

{
  "schema_version": 1, "created": "2026-01-31T12:00:00Z", "command": ["explain", …],
  "report": "report.html", "others": [files such as a figure],
  "totals": {"pictures", "records", "failures", "passes": {"forward", "backward"}, "seconds", "runtime"},
  "records":  one a picture × target × method, in the order of the command: `Attribution.record()`, and
              "path" (the picture as it was given), "files" {"map", "overlay", …} relative to the folder,
              "scale" {"low", "high", "words"} of the overlay's colours, "metrics" [`Judgement.record()`]
  "failures": [{"picture", "path", "kind", "reason"}]
}

Only ASCII is written (other letters as JSON escapes), so that names which are no text come back as they were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from sightline.errors import UsageError
from sightline.reports.names import shown

MANIFEST = "manifest.json"
REPORT = "report.html"
SCHEMA_VERSION = 1

Kinds: TypeAlias = "Mapping[str, type | tuple[type, ...]]"
_NUMBER = (int, float)
_TEXTS = ("picture", "path", "sha256", "model")
_OBJECTS = ("method", "target", "passes", "files", "versions")
_RECORD: Kinds = (
    dict.fromkeys(_TEXTS, str) | dict.fromkeys(_OBJECTS, dict) | {"seconds": _NUMBER, "warnings": list, "metrics": list}
)
_FAILURE: Kinds = {"picture": str, "path": str, "kind": str, "reason": str}
_WHOLE: Kinds = {
    "command": list, "report": str, "others": list, "totals": dict, "records": list, "failures": list, "created": str,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a run did.

    Attributes:
        command: the words of the command, without the program's name.
        created: when it ended, UTC, ISO 8601.
        totals: pictures, records, failures, passes, seconds, and what ran them.
        records: one a picture × target × method.
        failures: pictures that could not be explained, with the reason.
        report: the page, relative to the folder.
        others: further files, such as a figure.
    """

    command: tuple[str, ...]
    totals: dict[str, Any]
    records: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    created: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    report: str = REPORT
    others: tuple[str, ...] = ()

    @property
    def files(self) -> set[str]:
        """Every file of the folder, relative to it."""
        return {MANIFEST, self.report, *self.others} | {
            name for record in self.records for name in record["files"].values()
        }

    def to_bytes(self) -> bytes:
        """The file's content."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "created": self.created,
            "command": list(self.command),
            "report": self.report,
            "others": list(self.others),
            "totals": self.totals,
            "records": self.records,
            "failures": self.failures,
        }
        return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("ascii")


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a run's folder, checked.

    Raises:
        UsageError: no run there, a newer version, or a file that is not a manifest.
    """
    place, name = Path(folder), shown(str(folder))
    if not place.exists():
        raise UsageError(f"no folder {name}: give one that `sightline explain --out` made")
    if not place.is_dir():
        raise UsageError(f"{name} is a file: give the folder that `sightline explain --out` made")
    try:
        content = json.loads((place / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{name} holds no run of Sightline: there is no {MANIFEST} in it") from None
    except OSError as error:
        raise UsageError(f"{name}/{MANIFEST} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # broken JSON, or bytes that are no text
        raise UsageError(f"{name}/{MANIFEST} is not JSON: {str(error).splitlines()[0]}") from error
    return _checked(content, name)


def _checked(content: Any, name: str) -> Manifest:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise UsageError(f"{name}/{MANIFEST} was not written by Sightline: it has no schema_version")
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{name} was written as version {version}, and this Sightline reads {SCHEMA_VERSION}: update it"
        )
    _check(content, _WHOLE, f"{name}/{MANIFEST}")
    for number, record in enumerate(content["records"]):
        _check(record, _RECORD, f"{name}/{MANIFEST}: record {number}")
    for number, failure in enumerate(content["failures"]):
        _check(failure, _FAILURE, f"{name}/{MANIFEST}: failure {number}")
    return Manifest(
        command=tuple(content["command"]),
        totals=content["totals"],
        records=content["records"],
        failures=content["failures"],
        created=content["created"],
        report=content["report"],
        others=tuple(content["others"]),
    )


def _check(entry: Any, wanted: Kinds, where: str) -> None:
    for key, kind in wanted.items():
        value = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(value, kind):
            expected = "number" if isinstance(kind, tuple) else kind.__name__
            came = "nothing" if value is None else type(value).__name__
            raise UsageError(f"{where}: {key} must be {expected}, and {came} came")
