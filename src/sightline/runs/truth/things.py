"""What is known of photographs: the objects in them, each with its place and, where it is told, its class.

No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.evaluation.masks import Boxes, Polygons, as_mask
from sightline.reports.names import shown

Box: TypeAlias = tuple[float, float, float, float]
Outline: TypeAlias = Sequence[tuple[float, float]]
Label: TypeAlias = "int | str | None"


@dataclass(frozen=True, eq=False, kw_only=True)
class Thing:
    """One object of one photograph, by one of four kinds of place.

    Attributes:
        label: its class, an index or a name, if it is told.
        box: (left, top, right, bottom) in pixels of the picture, right and bottom excluded.
        outlines: the polygons of its parts.
        mask: `H W` booleans.
        file: a mask picture, white on the object.
    """

    label: Label = None
    box: Box | None = None
    outlines: Sequence[Outline] = ()
    mask: NDArray[np.bool_] | None = None
    file: Path | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """The objects of many photographs.

    Attributes:
        form: what was read, in words.
        things: a photograph's name, as the truth gives it → its objects.
        notes: what was left out, in words.
    """

    form: str
    things: Mapping[str, Sequence[Thing]]
    notes: tuple[str, ...] = field(default=())


def mask_of(things: Sequence[Thing], size: tuple[int, int]) -> tuple[Any, bool]:
    """Where these objects are, as `evaluate` takes it, and whether a box had to be cut at the picture's edge.

    Args:
        things: of one photograph.
        size: its (height, width), upright.

    Raises:
        UsageError: a box outside the picture, or a mask of another size.
    """
    boxes = [thing.box for thing in things if thing.box is not None]
    cut = [_inside(box, size) for box in boxes]
    clipped = any(before != after for before, after in zip(boxes, cut, strict=True))
    if len(boxes) == len(things):
        return (cut[0] if len(cut) == 1 else Boxes(boxes=cut)), clipped
    outlines = [outline for thing in things for outline in thing.outlines]
    if all(thing.outlines for thing in things):
        return Polygons(polygons=outlines), False
    if len(things) == 1 and things[0].file is not None:
        return things[0].file, False
    each = [Polygons(polygons=outlines)] if outlines else []
    given: list[Any] = [*cut, *each, *(one for thing in things for one in (thing.mask, thing.file) if one is not None)]
    whole = np.zeros(size, bool)
    for one in given:
        mask = as_mask(one, size)
        assert mask is not None
        whole |= mask
    return whole, clipped


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box that lies in the picture: labels often overshoot by a pixel."""
    left, top, right, bottom = box
    height, width = size
    cut = max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
    if not (cut[0] < cut[2] and cut[1] < cut[3]):
        words = ", ".join(f"{number:g}" for number in box)
        raise UsageError(f"the box ({words}) lies outside of the picture, which is {width} wide and {height} high")
    return cut


def number_of(text: Any, what: str, where: str) -> float:
    """A finite number, or a refusal that says where it was to stand.

    Raises:
        UsageError: no number.
    """
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise UsageError(f"{where}: {what} must be a number, and {shown(repr(text))[:40]} came")
    return number


def label_of(text: Any) -> Label:
    """A class index where the text is one, else a name, else none."""
    word = str(text).strip() if text is not None else ""
    return int(word) if word.isdecimal() else word or None
