"""Boxes in a CSV: one line an object, with a heading.

    file,label,x0,y0,x1,y1      or  file,class,x,y,w,h      (the label is optional; other columns are not looked at)

with commas, semicolons or tabs between them; xmin, left or x1 (with x2) for x0, and so on. Beside corners, the columns
width and height are the picture's, and are held against it.

x0, y0 is the corner at the left and top, x1, y1 that at the right and bottom, excluded, in pixels of the picture.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from sightline.errors import UsageError
from sightline.reports.names import shown
from sightline.runs.truth.things import Box, Size, Thing, Truth, check_pixels, label_of, number_of, size_of

_NAMES = {
    "file": ("file", "filename", "file_name", "image", "picture", "path", "name"),
    "label": ("label", "class", "class_index", "category", "target", "class_name", "label_name", "name"),
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
_FROM_ONE = {"x1": "x0", "y1": "y0", "x2": "x1", "y2": "y1"}
"""Headings that count the two corners from 1."""


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
        if None in row or None in row.values():
            raise UsageError(f"{where}: it has not as many cells as the heading; a name with a comma belongs in quotes")
        label = label_of(row.get(columns["label"])) if "label" in columns else None
        things.setdefault(picture, []).append(Thing(label=label, box=_box(row, columns, where)))
    if not things:
        raise UsageError(f"{name} holds no box: a heading and one line an object were expected")
    check_pixels(things, name)
    return Truth(form=f"boxes of {name}", things=things, sizes=_sizes(rows, columns))


def _between(heading: str) -> str:
    """What stands between the columns: a comma, a semicolon (tables of some countries), a tab."""
    return max(",;\t", key=heading.count)


def _columns(heading: Sequence[str], name: str) -> dict[str, str]:
    """What is needed → the column that holds it."""
    plain = {(word or "").strip().casefold(): word for word in heading}
    if {"x1", "y1", "x2", "y2"} <= plain.keys():
        if "x0" in plain or "x3" in plain:
            raise UsageError(f"{name}: its columns name more than two corners; expected x0, y0, x1, y1 of a box")
        plain = {_FROM_ONE.get(word, word): column for word, column in plain.items()}
    found = {what: plain[word] for what, words in _NAMES.items() for word in reversed(words) if word in plain}
    if found.get("label") == found.get("file"):
        found.pop("label", None)
    if "file" in found and (all(one in found for one in _CORNERS) or all(one in found for one in _SIZES)):
        return found
    came = ", ".join(shown(word or "") for word in heading) or "none"
    raise UsageError(
        f"{name}: its columns are {came}; expected file, x0, y0, x1, y1 (or x, y, w, h) and, if known, label"
    )


def _sizes(rows: Sequence[Mapping[str, str]], columns: Mapping[str, str]) -> dict[str, Size]:
    """The pictures' sizes: beside corners, columns of width and height are theirs."""
    if not all(one in columns for one in (*_CORNERS, "w", "h")) or any(one in columns for one in ("x", "y")):
        return {}
    told = {row[columns["file"]].strip(): size_of(row[columns["w"]], row[columns["h"]]) for row in rows}
    return {picture: size for picture, size in told.items() if size is not None}


def _box(row: Mapping[str, str], columns: Mapping[str, str], where: str) -> Box:
    corners = all(one in columns for one in _CORNERS)
    names = _CORNERS if corners else _SIZES
    one, two, three, four = (number_of(row.get(columns[name]), columns[name], where) for name in names)
    box = (one, two, three, four) if corners else (one, two, one + three, two + four)
    if not (box[0] < box[2] and box[1] < box[3]):
        raise UsageError(f"{where}: the box {', '.join(f'{number:g}' for number in box)} has no inside")
    return box
