"""Photographs with truth: which files are there, which form the truth has, which objects belong to which photograph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import TargetError, UsageError, nearest
from sightline.evaluation.mask_pictures import is_coloured
from sightline.evaluation.masks import as_mask
from sightline.images.load import load, upright_size
from sightline.models.targets import Labels, class_index
from sightline.reports.names import shown
from sightline.runs.contest_book import Entry
from sightline.runs.pictures import SUFFIXES
from sightline.runs.truth.coco import read_coco
from sightline.runs.truth.matching import Matched, check_size, matched, turned
from sightline.runs.truth.table import read_table
from sightline.runs.truth.things import Label, Thing, Truth, inside, mask_of
from sightline.runs.truth.voc import read_voc

DIFFICULT = 0.25
"""An object that covers this part of the picture or less is difficult to hit by chance."""
_MASK_FOLDERS = ("masks", "mask", "SegmentationObject")
_XML_FOLDERS = ("Annotations", "annotations")


@dataclass(frozen=True, eq=False)
class Set:
    """Photographs with truth, ready to be judged: entries, which of them are difficult, and what must be known."""

    entries: tuple[Entry, ...]
    difficult: tuple[bool, ...]
    notes: tuple[str, ...]


def truth_of(data: Path, given: Path | None) -> Truth:
    """The truth that was named, or that lies in the folder (or beside it, under its name).

    Raises:
        UsageError: none is there, several are, or it cannot be read.
    """
    if given is not None:
        return _read(given)
    if data.is_file():
        return _read(data)
    inside = _candidates(data)
    found = inside or [one for suffix in (".csv", ".json") if (one := data.parent / f"{data.name}{suffix}").is_file()]
    if not found:
        raise UsageError(
            f"{shown(str(data))} holds no truth: expected a CSV of boxes, a COCO JSON, VOC XML files, or mask pictures "
            "(in masks/, or dog_mask.png beside dog.jpg); name it with --truth"
        )
    if len(found) > 1:
        names = ", ".join(shown(one.name) for one in found[:4])
        raise UsageError(f"{shown(str(data))} holds truth of several forms ({names}): say which with --truth")
    return _read(found[0])


def entries_of(data: Path, truth: Truth, labels: Labels, target: str | None = None, most: int | None = None) -> Set:
    """One entry a photograph and class: the class of the truth where the network has it, else the top class.

    Args:
        data: where the photographs are: a folder, or the truth's own file, whose folder it is then.
        truth: what is known of them.
        labels: the network's class names.
        target: what is explained in place of the truth's class.
        most: only so many entries, the first ones.

    Raises:
        UsageError: no photograph of the truth is there, or an object lies outside of its picture.
    """
    files = _pictures(data if data.is_dir() else data.parent)
    there = matched(truth, files)
    if not there:
        first = shown(next(iter(truth.things)))
        close = nearest(Path(first).name, [name for file in files for name in (file.name, file.stem)], most=1)
        hint = f"; did you mean {shown(close[0])}?" if close else ""
        raise UsageError(f"none of the {len(truth.things)} pictures of the truth is in the folder, as {first}{hint}")
    missing = len(truth.things) - len(there)
    notes = [f"pictures of the truth that are not in the folder: {missing} of {len(truth.things)}"] if missing else []
    return collected(there, labels, target, most, [*truth.notes, *notes])


def collected(
    there: Sequence[Matched],
    labels: Labels,
    target: str | None,
    most: int | None,
    notes: Sequence[str],
) -> Set:
    """Photographs with their objects as entries, one a class.

    Raises:
        UsageError: an object lies outside of its picture, or the picture is not of the size that the truth tells.
    """
    entries, difficult, cut, unknown, tiny = list[Entry](), list[bool](), 0, list[str](), 0
    for file, wanted, of_class in _asked(there, labels, target):
        if (found := _entry(file, wanted, of_class)) is None:
            tiny += 1
            continue
        entry, small, clipped = found
        entries.append(entry)
        difficult.append(small)
        cut += clipped
        names = [str(thing.label) for thing in of_class if thing.label is not None]
        if names and (wanted, target) == ("top", None):
            unknown.append(f"{shown(names[0])!r} in {shown(file.name)}")
        if most is not None and len(entries) >= most:
            break
    if not entries:
        raise UsageError("no object of the truth covers the middle of a pixel of its picture: nothing can be judged")
    told = [*notes]
    told += [f"pictures with a box that was cut at the edge: {cut}"] if cut else []
    if unknown:
        told.append(
            f"pictures of which the truth names no class of this network: {len(unknown)}, such as {unknown[0]}; its "
            "top class was explained, and every object of the picture counts as the truth"
        )
    told += [f"objects without the middle of one pixel that were left out: {tiny}"] if tiny else []
    return Set(tuple(entries), tuple(difficult), (*told, *_of_the_files(there, entries)))


def _asked(there: Sequence[Matched], labels: Labels, target: str | None) -> Iterator[tuple[Path, Any, list[Thing]]]:
    """Each photograph with what is explained in it and the objects that are meant, photograph by photograph."""
    for one in there:
        check_size(one)
        for wanted, of_class in _by_class(one.things, labels, target).items():
            yield one.file, wanted, of_class


def _of_the_files(there: Sequence[Matched], entries: Sequence[Entry]) -> list[str]:
    """What must be known of the photographs' files and of the masks'."""
    told = []
    untold = {Path(entry.path) for entry in entries} - {one.file for one in there if one.told is not None}
    if many := turned(untold):
        told.append(f"photographs that their EXIF turns: {many}; the truth is read as that of the upright picture")
    files = [thing.file for one in there for thing in one.things if thing.file is not None]
    if coloured := sum(is_coloured(load(file, background=(0, 0, 0)).rgb) for file in files):
        told.append(f"mask pictures with colours: {coloured}; each but black counts as the object")
    return told


def _read(file: Path) -> Truth:
    if file.is_dir():
        xml = sorted(file.glob("*.xml"))
        return read_voc(xml) if xml else _mask_files(file)
    readers = {".csv": read_table, ".tsv": read_table, ".json": read_coco}
    if file.suffix.lower() == ".xml":
        return read_voc([file])
    if file.suffix.lower() not in readers:
        raise UsageError(f"{shown(file.name)} is no truth: expected .csv, .json, .xml, or a folder of .xml or masks")
    return readers[file.suffix.lower()](file)


def _candidates(data: Path) -> list[Path]:
    """Every truth that lies in a folder."""
    found = [one for pattern in ("*.csv", "*.json") for one in sorted(data.glob(pattern)) if not _ours(one)]
    folders = [data / name for name in _XML_FOLDERS if any((data / name).glob("*.xml"))]
    folders += [data / name for name in _MASK_FOLDERS if (data / name).is_dir()]
    if any(data.glob("*.xml")) or any("mask" in one.stem for one in _files(data)):
        folders.append(data)
    return [*found, *{one.resolve(): one for one in folders}.values()]


def _ours(file: Path) -> bool:
    """What an earlier run of Sightline left."""
    return file.name in ("manifest.json", "comparison.json", "values.csv")


def _mask_files(folder: Path) -> Truth:
    """Mask pictures: in a folder of their own under the photograph's name, or beside it as `dog_mask.png`."""
    own = folder.name in _MASK_FOLDERS
    things: dict[str, list[Thing]] = {}
    for file in _files(folder):
        stem = file.stem
        for mark in ("_mask", ".mask", "-mask"):
            stem = stem.removesuffix(mark)
        if own or stem != file.stem:
            things.setdefault(stem, []).append(Thing(file=file))
    if not things:
        raise UsageError(
            f"{shown(str(folder))} holds no mask: expected dog_mask.png beside dog.jpg, or a folder masks/"
        )
    return Truth(form=f"mask pictures of {shown(folder.name)}", things=things)


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES and one.is_file())


def _pictures(folder: Path) -> list[Path]:
    """The photographs, also in folders beneath; masks are none."""
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES and file.is_file() and not _is_mask(file)
    ]


def _is_mask(file: Path) -> bool:
    return file.parent.name in _MASK_FOLDERS or file.stem.endswith(("_mask", ".mask", "-mask"))


def _by_class(things: Sequence[Thing], labels: Labels, target: str | None) -> dict[Any, list[Thing]]:
    """What is explained → the objects that are its truth: classes of this network, where the picture has one."""
    if target is not None:
        return {target: list(things)}
    found: dict[Any, list[Thing]] = {}
    for thing in things:
        wanted = _index(thing.label, labels)
        found.setdefault("top" if wanted is None else wanted, []).append(thing)
    return {wanted: of_class for wanted, of_class in found.items() if wanted != "top" or len(found) == 1}


def _index(label: Label, labels: Labels) -> int | None:
    """The class that a label means to this network; none where it has no such class."""
    if isinstance(label, int):
        return label
    if label is None or not labels:
        return None
    try:
        return class_index(label, labels, len(labels))
    except TargetError:
        return None


def _entry(file: Path, wanted: Any, things: Sequence[Thing]) -> tuple[Entry, bool, bool] | None:
    """One photograph and class; whether its objects are small, and whether a box was cut. None for objects so small
    that they cover the middle of no pixel.
    """
    size = upright_size(file)
    if size is None:  # told when it is its turn; no mask is ever looked at
        return Entry(path=str(file), source=file, target=wanted, mask=False), False, False
    try:
        mask, cut = mask_of(things, size)
        where = as_mask(mask, size)
        if where is not None and not where.any():
            if all(inside(thing, size) for thing in things):
                return None
            raise UsageError(f"its objects lie outside of the picture, which is {size[1]} wide and {size[0]} high")
    except UsageError as error:
        raise UsageError(f"{shown(file.name)}: {error}") from error
    small = where is not None and bool(where.mean() <= DIFFICULT)
    return Entry(path=str(file), source=file, target=wanted, mask=mask), small, cut
