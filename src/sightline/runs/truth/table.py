"""Boxes in a CSV: one line an object, with a heading.

    file,label,x0,y0,x1,y1      or  file,class,x,y,w,h      (the label is optional; other columns are not looked at)

with commas, semicolons or tabs between them.

x0, y0 is the corner at the left and top, x1, y1 that at the right and bottom, excluded, in pixels of the picture.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from sightline.errors import UsageError
from sightline.reports.names import shown
from sightline.runs.truth.things import Box, Thing, Truth, label_of, number_of

_NAMES = {
    "file": ("file", "filename", "file_name", "image", "picture", "path", "name"),
    "label": ("label", "class", "class_index", "category", "target"),
    "x0": ("x0", "xmin", "x_min", "left"),
    "y0": ("y0", "ymin", "y_min", "top"),
    "x1": ("x1", "xmax", "x_max", "right"),
    "y1": ("y1", "ymax", "y_max", "bottom"),
    "x": ("x",),
    "y": ("y",),
    "w": ("w", "width"),
    "h": ("h", "height"),
}
_CORNERS, _SIZES = ("x0", "y0", "x1", "y1"), ("x", "y", "w", "h")


def read_table(file: Path) -> Truth:
    """The boxes of a CSV.

    Raises:
        UsageError: no such columns, a cell that is no number, a box without an inside; with the line.
    """
    name = shown(file.name)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            between = _between(lines.readline())
            lines.seek(0)
            reader = csv.DictReader(lines, delimiter=between)
            columns = _columns(reader.fieldnames or (), name)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    things: dict[str, list[Thing]] = {}
    for number, row in enumerate(rows, start=2):
        where = f"{name}, line {number}"
        picture = (row.get(columns["file"]) or "").strip()
        if not picture:
            raise UsageError(f"{where}: no picture is named")
        label = label_of(row.get(columns["label"])) if "label" in columns else None
        things.setdefault(picture, []).append(Thing(label=label, box=_box(row, columns, where)))
    if not things:
        raise UsageError(f"{name} holds no box: a heading and one line an object were expected")
    return Truth(form=f"boxes of {name}", things=things)


def _between(heading: str) -> str:
    """What stands between the columns: a comma, a semicolon (tables of some countries), a tab."""
    return max(",;\t", key=heading.count)


def _columns(heading: Sequence[str], name: str) -> dict[str, str]:
    """What is needed → the column that holds it."""
    plain = {(word or "").strip().casefold(): word for word in heading}
    found = {what: plain[word] for what, words in _NAMES.items() for word in reversed(words) if word in plain}
    if "file" in found and (all(one in found for one in _CORNERS) or all(one in found for one in _SIZES)):
        return found
    came = ", ".join(shown(word or "") for word in heading) or "none"
    raise UsageError(
        f"{name}: its columns are {came}; expected file, x0, y0, x1, y1 (or x, y, w, h) and, if known, label"
    )


def _box(row: Mapping[str, str], columns: Mapping[str, str], where: str) -> Box:
    corners = all(one in columns for one in _CORNERS)
    names = _CORNERS if corners else _SIZES
    one, two, three, four = (number_of(row.get(columns[name]), columns[name], where) for name in names)
    box = (one, two, three, four) if corners else (one, two, one + three, two + four)
    if not (box[0] < box[2] and box[1] < box[3]):
        raise UsageError(f"{where}: the box {', '.join(f'{number:g}' for number in box)} has no inside")
    return box
