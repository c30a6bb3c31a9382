"""The pictures of a command: files, folders and built-in pictures, found before anything heavy begins.

No torch here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.errors import PictureError, UsageError, nearest, unknown
from sightline.images.load import Picture, load
from sightline.reports.names import shown

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
BUILT_IN = "demo:"


@dataclass(frozen=True, eq=False)
class Given:
    """One picture of a run: the words it was given by, what `load` takes, and where the object is, if that is known."""

    path: str
    source: Any
    mask: Any = None


def given_pictures(words: Sequence[str]) -> list[Given]:
    """The pictures that words mean: a file, a folder (its pictures in the order of their names), or `demo:NAME`.

    Raises:
        UsageError: no word, no such file, a folder without pictures, an unknown built-in picture.
    """
    if not words:
        raise UsageError("no picture was given: give a file, a folder, or a built-in picture such as demo:dog-and-cat")
    return [given for word in words for given in _given(word)]


def with_masks(pictures: Sequence[Given], masks: Sequence[str]) -> list[Given]:
    """The pictures with mask files: one for all, or one a picture.

    Raises:
        UsageError: no such file, one that is no picture, another number of masks, or another size than the picture's.
    """
    if not masks:
        return list(pictures)
    files = [_mask(mask) for mask in masks]
    if len(files) not in (1, len(pictures)):
        raise UsageError(
            f"{len(files)} masks for {len(pictures)} pictures: give one for all, or one a picture in order"
        )
    each = files * len(pictures) if len(files) == 1 else files
    for picture, mask in zip(pictures, each, strict=True):
        _check_size(picture, mask)
    return [replace(picture, mask=mask) for picture, mask in zip(pictures, each, strict=True)]


def _mask(word: str) -> Picture:
    try:
        return load(existing_file(word, "mask"), background=(0, 0, 0))
    except PictureError as error:
        raise UsageError(f"the mask {shown(word)} {error.reason}") from error


def _check_size(picture: Given, mask: Picture) -> None:
    """Refuse a mask of another size now, not when hours of work are done."""
    try:
        size = load(picture.source).size
    except PictureError:
        return  # told, and recorded, when it is its turn
    if size != mask.size:
        came, wanted = (f"{width} × {height}" for height, width in (mask.size, size))
        raise UsageError(f"the mask {shown(mask.name)} is {came} pixels, and {shown(picture.path)} is {wanted}")


def _given(word: str) -> list[Given]:
    if not word.strip():
        raise UsageError("a picture without a name was given: give a file, a folder, or demo:NAME")
    if word.startswith(BUILT_IN):
        return [_built_in(word)]
    if word.startswith(("http://", "https://")):
        raise UsageError(f"{shown(word)} is an address: download the picture first and give the file")
    path = Path(word)
    if not path.is_dir():
        file = existing_file(word, "picture")
        return [Given(word, file)]
    found = sorted(one for one in path.iterdir() if one.suffix.lower() in SUFFIXES and not one.name.startswith("."))
    found = [one for one in found if one.is_file()]
    if not found:
        raise UsageError(f"the folder {shown(word)} holds no picture ({', '.join(SUFFIXES)})")
    return [Given(str(one), one) for one in found]


def _built_in(word: str) -> Given:
    from sightline.demo.scenes import PICTURES, render

    name = word.removeprefix(BUILT_IN)
    if name not in PICTURES:
        if not nearest(name, PICTURES):
            raise UsageError(f"unknown built-in picture {shown(name)!r}: known are {', '.join(PICTURES)}")
        raise UsageError(unknown("built-in picture", name, PICTURES))
    scene = render(PICTURES[name])
    return Given(word, replace(load(scene.image), name=word), scene.masks["object"])


def existing_file(word: str, what: str) -> Path:
    """A file that is there, or an error with the names that are most like it."""
    path = Path(word).expanduser()
    try:
        there = path.exists()
    except (OSError, ValueError):  # a name that no file can have: too long, a zero byte
        there = False
    if there and path.is_dir():
        raise UsageError(f"the {what} {shown(word)} is a folder: give a file")
    if there:
        return path
    folder = path.parent
    neighbours = [entry.name for entry in os.scandir(folder) if entry.is_file()] if folder.is_dir() else []
    close = [shown(str(folder / name)) for name in nearest(path.name, neighbours, most=1)]
    if close:
        raise UsageError(f"no {what} file {shown(word)!r}: did you mean {close[0]!r}?")
    where = "" if folder.is_dir() else f": there is no folder {shown(str(folder))!r}"
    raise UsageError(f"no {what} file {shown(word)!r}{where}")
