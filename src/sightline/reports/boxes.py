"""Boxes around what maps show: in the records, as a table for programs, and as outlines on the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sightline.evaluation.masks import as_boxes, as_mask
from sightline.images.shapes import Region
from sightline.images.thresholds import Threshold
from sightline.pictures.marks import Marks
from sightline.pictures.outlines import Loops, loops_of_boxes, loops_of_mask, path
from sightline.reports.content import Outline, Result

BOXES = "boxes.csv"
_MOST = 10
_COLUMNS = ("picture", "path", "target", "method", "left", "top", "right", "bottom", "pixels", "mass")


def boxed(result: Result, threshold: Threshold | None) -> Result:
    """A result with the boxes of its map; as it is where none are wanted."""
    if threshold is None:
        return result
    found = tuple(result.attribution.boxes(threshold, _MOST))
    return replace(result, regions=found, outlines=outlines(found, result.attribution.picture.size))


def outlines(found: Sequence[Region], size: tuple[int, int]) -> tuple[Outline, ...]:
    """Boxes as a page draws them, of a picture of this (height, width)."""
    return tuple(_outline(region, *size) for region in found)


def truth_loops(given: Any, size: tuple[int, int]) -> Loops:
    """Where the object is, as closed lines: the boxes that were given, else the border of the mask.

    Args:
        given: what `as_mask` takes; None, or False where nothing is known, gives no line.
        size: (height, width) of the picture.
    """
    if given is None or given is False:
        return ()
    if boxes := as_boxes(given):
        return loops_of_boxes(boxes, size)
    mask = as_mask(given, size)
    return () if mask is None else loops_of_mask(mask)


def truth_path(given: Any, size: tuple[int, int]) -> str:
    """The same as the path of an SVG, empty where nothing is known."""
    return path(truth_loops(given, size))


def marks_of(result: Result, truth: Loops) -> Marks:
    """What is outlined on the map of a result: its boxes, and where the object is."""
    boxes = [(one.left, one.top, one.left + one.width, one.top + one.height) for one in result.outlines]
    return Marks(boxes=loops_of_boxes(boxes, (1, 1)), truth=truth)


def boxes_csv(records: Sequence[Mapping[str, Any]]) -> bytes:
    """One line a box, those of one map with most of it first; a map without positive values has none."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    for record in records:
        about = {"picture": record["picture"], "path": record["path"], "target": record["target"]["label"]}
        about["method"] = record["method"]["spec"]
        writer.writerows({**about, **box, "mass": f"{box['mass']:.4f}"} for box in record["boxes"])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _outline(region: Region, height: int, width: int) -> Outline:
    return Outline(
        left=region.left / width,
        top=region.top / height,
        width=(region.right - region.left) / width,
        height=(region.bottom - region.top) / height,
        words=f"{_part(region.mass)} of what speaks for the answer",
    )


def _part(mass: float) -> str:
    return "less than 1%" if 0 < mass < 0.005 else f"{mass:.0%}"
