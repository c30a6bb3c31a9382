"""COCO JSON: boxes, polygons and run-length masks.

    {"images": [{"id", "file_name", …}], "annotations": [{"image_id", "category_id", "bbox": [x, y, w, h],
     "segmentation": [[x, y, x, y, …], …] or {"size": [h, w], "counts": [runs] or "text"}}],
     "categories": [{"id", "name"}]}

or, shorter, a picture's name → {"objects": [{"name", "polygon": [[x, y], …]} or {"name", "box": [left, top, right,
bottom]}]}. A crowd (`iscrowd`: many objects in one outline) is left out, and told. T.-Y. Lin et al., "Microsoft COCO:
Common Objects in Context", ECCV 2014; the run-length text as in the authors' `maskApi.c`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.reports.names import shown
from sightline.runs.truth.matching import without_thing
from sightline.runs.truth.things import Thing, Truth, check_pixels, number_of, size_of

_MOST_PIXELS = 1 << 28


def read_coco(file: Path) -> Truth:
    """The objects of a JSON file in either form.

    Raises:
        UsageError: no JSON, another form, or an annotation that is broken; with its place.
    """
    name = shown(file.name)
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {str(error).splitlines()[0]}") from error
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        return _standard(content, name)
    if isinstance(content, dict) and content and all(_is_short(one) for one in content.values()):
        return _short(content, name)
    raise UsageError(
        f"{name} is no COCO file: expected images, annotations and categories, or a picture's name → objects"
    )


def _standard(content: Mapping[str, Any], name: str) -> Truth:
    files = _named(content["images"], "image", "file_name", name)
    if len(set(files.values())) < len(files):
        twice = next(one for one in files.values() if list(files.values()).count(one) > 1)
        raise UsageError(f"{name}: two images have the file_name {shown(twice)}")
    categories = _named(content.get("categories", []), "category", "name", name)
    annotations = content["annotations"]
    if not isinstance(annotations, list):
        raise UsageError(f"{name}: its annotations are no list")
    things: dict[str, list[Thing]] = {}
    crowds = empty = 0
    for number, one in enumerate(annotations):
        where = f"{name}, annotation {number}"
        if not isinstance(one, dict) or (picture := files.get(_id(one.get("image_id")))) is None:
            raise UsageError(f"{where}: its image_id is none of the images")
        if one.get("iscrowd"):
            crowds += 1
            continue
        category = _id(one.get("category_id"))
        if categories and category is not None and category not in categories:
            raise UsageError(f"{where}: its category_id is none of the categories")
        if (thing := _thing(one, categories.get(category), where)) is None:
            empty += 1
        else:
            things.setdefault(picture, []).append(thing)
    if not things:
        raise UsageError(f"{name} holds no object: images, and annotations with a bbox or a segmentation were expected")
    check_pixels(things, name)
    notes = [f"crowds (many objects in one outline) that were left out: {crowds}"] if crowds else []
    notes += [f"boxes without an inside (width or height 0) that were left out: {empty}"] if empty else []
    notes += ["the categories have no names: the network's top class is explained"] if not categories else []
    listed = {one["file_name"]: size_of(one.get("width"), one.get("height")) for one in content["images"]}
    sizes = {picture: size for picture, size in listed.items() if size is not None}
    notes += without_thing(listed, things)
    return Truth(form=f"COCO objects of {name}", things=things, notes=tuple(notes), sizes=sizes)


def _named(given: Any, what: str, key: str, name: str) -> dict[object, str]:
    """id → name, of images and of categories."""
    found: dict[object, str] = {}
    for number, one in enumerate(given if isinstance(given, list) else [None]):
        if not isinstance(one, dict) or _id(one.get("id")) is None or not isinstance(one.get(key), str):
            raise UsageError(f"{name}, {what} {number}: it has no id, or no {key}")
        found[_id(one["id"])] = one[key]
    return found


def _id(given: Any) -> int | str | None:
    """What a number or a name stands for; none for anything else."""
    return given if isinstance(given, int | str) else None


def _thing(one: Mapping[str, Any], label: str | None, where: str) -> Thing | None:
    """One object; none for a box without an inside, of which COCO's own files hold a few."""
    segments = one.get("segmentation")
    if isinstance(segments, dict):
        return Thing(label=label, mask=run_lengths(segments, where))
    if segments:
        if not isinstance(segments, list):
            raise UsageError(f"{where}: a segmentation is a list of polygons, or runs with their size")
        return Thing(label=label, outlines=[_outline(flat, where) for flat in segments])
    box = one.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise UsageError(f"{where}: it has neither a segmentation nor a bbox of four numbers")
    x, y, w, h = (number_of(number, "bbox", where) for number in box)
    if w < 0 or h < 0:
        raise UsageError(f"{where}: a bbox is x, y, width, height, and its size is {w:g} × {h:g}")
    return Thing(label=label, box=(x, y, x + w, y + h)) if w and h else None


def _outline(flat: Any, where: str) -> list[tuple[float, float]]:
    if not isinstance(flat, list) or len(flat) < 6 or len(flat) % 2:
        raise UsageError(f"{where}: a polygon is a row of x, y, x, y, … of three corners or more")
    numbers = [number_of(number, "a corner", where) for number in flat]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def run_lengths(segment: Mapping[str, Any], where: str) -> NDArray[np.bool_]:
    """A mask `H W` from runs of pixels off and on in turn, down the columns.

    Raises:
        UsageError: runs that do not fill the mask, or text that is broken.
    """
    size, counts = segment.get("size"), segment.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not isinstance(counts, list | str):
        raise UsageError(f"{where}: a run-length mask has size [height, width] and counts")
    whole = [*size, *(counts if isinstance(counts, list) else [])]
    if not all(isinstance(number, int) for number in whole) or not 0 < size[0] * size[1] <= _MOST_PIXELS:
        raise UsageError(f"{where}: a run-length mask has whole numbers, and at most {_MOST_PIXELS:,} pixels")
    runs = _unpacked(counts, where) if isinstance(counts, str) else counts
    height, width = size
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise UsageError(f"{where}: its runs hold {sum(runs)} pixels, and its size is {height} × {width}")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(values.reshape(width, height).T)


def _unpacked(text: str, where: str) -> list[int]:
    """Runs from COCO's text: five bits a letter, the sixth says whether more follow; differences from the third on."""
    runs: list[int] = []
    place = 0
    while place < len(text):
        number, bits, more = 0, 0, True
        while more:
            if place >= len(text) or not 0 <= (letter := ord(text[place]) - 48) < 64:
                raise UsageError(f"{where}: the run-length text is broken at letter {place}")
            number |= (letter & 31) << bits
            more, place, bits = bool(letter & 32), place + 1, bits + 5
            if not more and letter & 16:
                number -= 1 << bits
        runs.append(number + runs[-2] if len(runs) > 2 else number)
    return runs


def _flat(polygon: Any, where: str) -> list[Any]:
    """Corners `[[x, y], …]` as one row."""
    pairs = isinstance(polygon, list) and all(isinstance(one, list) and len(one) == 2 for one in polygon)
    if not pairs:
        raise UsageError(f"{where}: a polygon is a list of corners [x, y]")
    return [number for corner in polygon for number in corner]


def _is_short(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("objects"), list)


def _short(content: Mapping[str, Any], name: str) -> Truth:
    things: dict[str, list[Thing]] = {}
    for picture, found in content.items():
        for number, one in enumerate(found["objects"]):
            where = f"{name}, {shown(picture)}, object {number}"
            if not isinstance(one, dict) or not isinstance(one.get("name"), int | str | None):
                raise UsageError(f"{where}: an object has a name, and a polygon or a box")
            label, box, polygon = one.get("name"), one.get("box"), one.get("polygon")
            if polygon is not None:
                thing = Thing(label=label, outlines=[_outline(_flat(polygon, where), where)])
            elif isinstance(box, list) and len(box) == 4:
                left, top, right, bottom = (number_of(number, "box", where) for number in box)
                thing = Thing(label=label, box=(left, top, right, bottom))
            else:
                raise UsageError(f"{where}: it has neither a polygon nor a box of four numbers")
            things.setdefault(picture, []).append(thing)
    if not things:
        raise UsageError(f"{name} holds no object: a picture's name → objects with a polygon or a box were expected")
    check_pixels(things, name)
    sizes = {
        picture: size for picture, one in content.items() if (size := size_of(one.get("width"), one.get("height")))
    }
    return Truth(form=f"objects of {name}", things=things, notes=without_thing(content, things), sizes=sizes)
