"""Boxes around what maps show: in the records, as a table for programs, and as outlines on the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sightline.images.shapes import Region
from sightline.images.thresholds import Threshold
from sightline.reports.content import Outline, Result

BOXES = "boxes.csv"
_MOST = 10
_COLUMNS = ("picture", "path", "target", "method", "left", "top", "right", "bottom", "pixels", "mass")


def boxed(result: Result, threshold: Threshold | None) -> Result:
    """A result with the boxes of its map; as it is where none are wanted."""
    if threshold is None:
        return result
    found = tuple(result.attribution.boxes(threshold, _MOST))
    height, width = result.attribution.picture.size
    outlines = tuple(_outline(region, height, width) for region in found)
    return replace(result, regions=found, outlines=outlines)


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
        words=f"{region.mass:.0%} of what speaks for the answer",
    )
