"""Tables of words for a terminal, and what the commands show in them."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from sightline.percent import percent
from sightline.reports.names import shown

if TYPE_CHECKING:
    from sightline.reports.manifest import Manifest

GAP = "  "
NARROWEST = 12


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their heads; the last column may hold several lines, and is wrapped to the terminal's width."""
    width = shutil.get_terminal_size((100, 24)).columns
    every = [list(head), *[[*map(shown, row[:-1]), row[-1]] for row in rows]]
    widths = [max(len(row[column]) for row in every) for column in range(len(head) - 1)]
    before = sum(widths) + len(GAP) * len(widths)
    lines, room = [], max(NARROWEST, width - before)
    for row in every:
        last = [
            part
            for line in row[-1].split("\n")
            for part in textwrap.wrap(shown(line), room, break_long_words=False, break_on_hyphens=False) or [""]
        ]
        start = GAP.join(cell.ljust(size) for cell, size in zip(row[:-1], widths, strict=True))
        lines.append(f"{start}{GAP if widths else ''}{last[0]}".rstrip())
        lines += [" " * before + more for more in last[1:]]
    return "\n".join(lines)


def run_table(manifest: Manifest) -> str:
    """The records of a run: picture, target, method, values; warnings beneath."""
    metrics = list(dict.fromkeys(found["metric"]["spec"] for record in manifest.records for found in record["metrics"]))
    rows: list[list[str]] = []
    notes: list[str] = []
    for record in manifest.records:
        values = {found["metric"]["spec"]: f"{found['value']:.3g}" for found in record["metrics"]}
        target = record["target"]
        mark = _marked(record, notes)
        rows.append(
            [
                record["picture"],
                f"{target['label']} {percent(target['probability'])}",
                record["method"]["spec"] + mark,
                *(values.get(metric, "") for metric in metrics),
            ]
        )
    lines = [table(["picture", "target", "method", *metrics], rows)]
    lines += [_wrapped(f"[{number}] {shown(note)}") for number, note in enumerate(notes, start=1)]
    lines += [line for record in manifest.records if "belief" in record for line in _belief(record)]
    return "\n".join(lines)


def _belief(record: dict[str, Any]) -> list[str]:
    """How far one map can be believed: the answer, why, and its values beside those of random maps."""
    found, lines = record["belief"], []
    who = f"{record['picture']}, {record['target']['label']}, {record['method']['spec']}"
    lines.append(_wrapped(shown(f"{who}: {found['title']}. {' '.join(found['sentences'])}")))
    for one in found["metrics"]:
        beside = "; ".join(
            f"{words} {mean(one[key]):.3g} ± {stdev(one[key]):.2g}"
            for key, words in (("moved", "moved elsewhere"), ("noise", "noise"))
        )
        lines.append(f"    {one['metric']['spec']} {one['value']:.3g} ({one['better']} is better); {beside}")
    return lines


def _marked(record: dict[str, Any], notes: list[str]) -> str:
    """Numbers of the record's warnings, each told once beneath the table."""
    told = [*record["warnings"], *(note for found in record["metrics"] for note in found["warnings"])]
    for note in told:
        if note not in notes:
            notes.append(note)
    numbers = sorted({notes.index(note) + 1 for note in told})
    return "".join(f" [{number}]" for number in numbers)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, max(40, shutil.get_terminal_size((100, 24)).columns), subsequent_indent="    ")
