"""The pictures of a command: files, folders and built-in pictures, found before anything heavy begins.

No torch here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.errors import PictureError, UsageError, nearest, unknown
from sightline.evaluation.mask_pictures import mask_of_picture
from sightline.evaluation.masks import as_mask
from sightline.images.load import Picture, load
from sightline.reports.names import shown

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
UNREAD = (".heic", ".heif", ".jxl", ".jp2", ".j2k", ".tga", ".ppm", ".pgm", ".pnm")
"""Of pictures that nobody here reads: of a folder they are told, like broken ones, rather than left out in silence."""
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


def as_sources(pictures: Any) -> tuple[list[Any], bool]:
    """What was given to a call as a list, and whether it was a single one; the words `demo:NAME` as built-in pictures.

    Raises:
        UsageError: an unknown built-in picture.
    """
    from sightline.models.intake import as_list  # brings torch, which a call has and a command may not need

    sources, single = as_list(pictures)
    named = (isinstance(one, str) and one.startswith(BUILT_IN) for one in sources)
    return [_built_in(one).source if known else one for one, known in zip(sources, named, strict=True)], single


def with_masks(pictures: Sequence[Given], masks: Sequence[str]) -> list[Given]:
    """The pictures with mask files: one for all, or one a picture.

    Raises:
        UsageError: no such file, one that is no picture or shows no object, another number of masks, or another size
            than the picture's.
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
        _check_mask(picture, mask)
    return [replace(picture, mask=mask) for picture, mask in zip(pictures, each, strict=True)]


def readable(pictures: Sequence[Given], tell: Callable[[str], object]) -> list[Given]:
    """Those of the pictures that can be read, for what needs all of them at once; the others are told, one a line.

    Raises:
        UsageError: none can be read.
    """
    good = []
    for given in pictures:
        try:
            load(given.source)
        except PictureError as error:
            tell(f"{shown(Path(given.path).name)}: {shown(error.reason)}")
        else:
            good.append(given)
    if not good:
        raise UsageError(f"none of the {len(pictures)} pictures can be read, see above")
    return good


def _mask(word: str) -> Picture:
    try:
        picture = load(existing_file(word, "mask"), background=(0, 0, 0))
    except PictureError as error:
        raise UsageError(f"the mask {shown(word)} {error.reason}") from error
    mask_of_picture(picture)  # what is no mask is refused now, not when hours of work are done
    return picture


def _check_mask(picture: Given, mask: Picture) -> None:
    """Refuse a mask of another size, or one that shows no object, now, not when hours of work are done."""
    try:
        size = load(picture.source).size
    except PictureError:
        return  # told, and recorded, when it is its turn
    if size != mask.size:
        came, wanted = (f"{width} × {height}" for height, width in (mask.size, size))
        raise UsageError(f"the mask {shown(mask.name)} is {came} pixels, and {shown(picture.path)} is {wanted}")
    as_mask(mask, size)


def _given(word: str) -> list[Given]:
    if not word.strip():
        raise UsageError("a picture without a name was given: give a file, a folder, or demo:NAME")
    if word.startswith(BUILT_IN):
        return [_built_in(word)]
    if word.startswith(("http://", "https://")):
        raise UsageError(f"{shown(word)} is an address: download the picture first and give the file")
    path = _expanded(word)
    if not _is_folder(path):
        file = existing_file(word, "picture")
        return [Given(word, file)]
    return [Given(str(one), one) for one in _in_folder(path, shown(word))]


def _expanded(word: str) -> Path:
    """A path with `~` read as a home; as it is where it names none, since a file may be called `~x.jpg`."""
    try:
        return Path(word).expanduser()
    except RuntimeError:
        return Path(word)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have: too long, a zero byte
        return False


def _in_folder(folder: Path, name: str) -> list[Path]:
    """The pictures of a folder by name. What cannot be read (`UNREAD`, a link to nowhere) is among them, to be told."""
    try:
        entries = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise UsageError(f"the folder {name} cannot be read: {error.strerror or error}") from error
    found = [one for one in entries if one.suffix.lower() in SUFFIXES + UNREAD and not _is_folder(one)]
    if found:
        return found
    inside = [one for one in entries if _is_folder(one)]
    hint = f"; folders in it, such as {shown(str(inside[0]))}, are not searched: name them" if inside else ""
    raise UsageError(f"the folder {name} holds no picture ({', '.join(SUFFIXES)}){hint}")


def _built_in(word: str) -> Given:
    from sightline.demo.scenes import PICTURES, render

    name = word.removeprefix(BUILT_IN)
    if name not in PICTURES:
        if not nearest(name, PICTURES):
            raise UsageError(f"unknown built-in picture {shown(name)!r}: known are {', '.join(PICTURES)}")
        raise UsageError(unknown("built-in picture", name, PICTURES))
    scene = render(PICTURES[name])
    return Given(word, replace(load(scene.image), name=word), scene.masks["object"])


def _files_in(folder: Path) -> list[str]:
    """The names of the files in a folder; none where it cannot be read: they are for a hint only."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not entry.is_symlink() and entry.is_file()]
    except OSError:
        return []


def existing_file(word: str, what: str) -> Path:
    """A file that is there, or an error with the names that are most like it."""
    path = _expanded(word)
    try:
        there, link = path.exists(), path.is_symlink()
    except (OSError, ValueError):  # a name that no file can have: too long, a zero byte
        there = link = False
    if there and path.is_dir():
        raise UsageError(f"the {what} {shown(word)} is a folder: give a file")
    if there:
        return path
    folder = path.parent
    close = [shown(str(folder / name)) for name in nearest(path.name, _files_in(folder), most=1)]
    if link:
        raise UsageError(f"the {what} {shown(word)} is a link that leads to no file")
    if close:
        raise UsageError(f"no {what} file {shown(word)!r}: did you mean {close[0]!r}?")
    where = "" if _is_folder(folder) else f": there is no folder {shown(str(folder))!r}"
    raise UsageError(f"no {what} file {shown(word)!r}{where}")
