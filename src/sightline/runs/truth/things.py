"""What is known of photographs: the objects in them, each with its place and, where it is told, its class.

No torch here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.evaluation.masks import Boxes, Polygons, as_mask
from sightline.reports.names import shown

_FURTHEST = 1e9
Box: TypeAlias = tuple[float, float, float, float]
Size: TypeAlias = tuple[int, int]
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
        sizes: the (height, width) that the truth says a photograph has, where it does.
    """

    form: str
    things: Mapping[str, Sequence[Thing]]
    notes: tuple[str, ...] = ()
    sizes: Mapping[str, Size] = field(default_factory=dict)


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


def inside(thing: Thing, size: tuple[int, int]) -> bool:
    """Whether the box or a corner of the object lies in the picture of this (height, width)."""
    corners = [corner for outline in thing.outlines for corner in outline]
    corners += [] if thing.box is None else [thing.box[:2], thing.box[2:]]
    return any(0 <= x <= size[1] and 0 <= y <= size[0] for x, y in corners)


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box that lies in the picture: labels often overshoot by a pixel."""
    left, top, right, bottom = box
    height, width = size
    cut = max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
    if not (cut[0] < cut[2] and cut[1] < cut[3]):
        words = ", ".join(f"{number:g}" for number in box)
        raise UsageError(f"the box ({words}) lies outside of the picture, which is {width} wide and {height} high")
    return cut


def check_pixels(things: Mapping[str, Sequence[Thing]], name: str) -> None:
    """Refuse places that are parts of the picture and not pixels: taken as pixels they would all be its first one.

    Raises:
        UsageError: no box and no corner of any object lies beyond 1.
    """
    numbers = (number for of_picture in things.values() for thing in of_picture for number in _numbers(thing))
    first = next(numbers, None)
    if first is not None and first <= 1 and all(number <= 1 for number in numbers):
        raise UsageError(
            f"{name}: no number of its places is above 1, so they seem to be parts of the picture: multiply x by its "
            "width and y by its height"
        )


def _numbers(thing: Thing) -> Iterator[float]:
    """The coordinates of an object; of a mask, whose pixels cannot be taken for parts, one that is no part."""
    yield from thing.box or ()
    for outline in thing.outlines:
        for corner in outline:
            yield from corner
    if thing.mask is not None:
        yield float("inf")


def size_of(width: Any, height: Any) -> Size | None:
    """A picture's (height, width); none where it is not told, for which some tools write 0."""
    try:
        size = round(float(height)), round(float(width))
    except (TypeError, ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None


def number_of(text: Any, what: str, where: str) -> float:
    """A number that can be a place in a picture, or a refusal that says where it was to stand.

    Raises:
        UsageError: no number, or one beyond every picture.
    """
    try:
        number = float(text)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not abs(number) < _FURTHEST:
        raise UsageError(f"{where}: {what} must be a number, and {shown(repr(text))[:40]} came")
    return number


def label_of(text: Any) -> Label:
    """A class index where the text is one, else a name, else none."""
    word = str(text).strip() if text is not None else ""
    whole = word.removesuffix(".0")  # as tables write a column of whole numbers with gaps
    return int(whole) if whole.isdecimal() else word or None
