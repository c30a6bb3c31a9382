"""Which photograph is meant by a name of the truth, and whether it is the picture that the truth was made for.

Truth files name pictures by paths of other machines, with or without folders and suffixes. A name is matched by its
last part; where several photographs or several names have that, by the folders before it. What stays open is refused:
objects held against the wrong photograph would be wrong numbers without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sightline.errors import UsageError
from sightline.images.guard import READER_ERRORS
from sightline.images.load import upright_size
from sightline.reports.names import shown
from sightline.runs.truth.things import Size, Thing, Truth

_ORIENTATION = 274  # the tag of EXIF


@dataclass(frozen=True, eq=False)
class Matched:
    """A photograph with its objects, and the (height, width) that the truth says it has, if it does."""

    file: Path
    things: Sequence[Thing]
    told: Size | None = None


def matched(truth: Truth, files: Sequence[Path]) -> list[Matched]:
    """The photographs of which the truth tells, in its order; names without a photograph are left out.

    Raises:
        UsageError: a name that could mean several photographs, or two names that mean one.
    """
    by_name: dict[str, list[Path]] = {}
    for file in files:
        for name in {file.name, file.stem}:
            by_name.setdefault(name, []).append(file)
    named: dict[Path, list[str]] = {}
    for name in truth.things:
        if (meant := _meant(name, by_name)) is not None:
            named.setdefault(meant, []).append(name)
    found = []
    for file, names in named.items():
        own = _own(file, names)
        told = [size for name in own if (size := truth.sizes.get(name)) is not None]
        found.append(Matched(file, [thing for name in own for thing in truth.things[name]], told[0] if told else None))
    return found


def check_size(one: Matched) -> None:
    """Refuse a photograph of another size than the truth was made for.

    Raises:
        UsageError: the sizes differ.
    """
    size = upright_size(one.file)
    if one.told is None or size is None or one.told == size:
        return
    told, came = (f"{width} × {height}" for height, width in (one.told, size))
    if one.told == size[::-1] and _orientation(one.file) >= 5:
        raise UsageError(
            f"{shown(one.file.name)}: the truth is for the picture as it is stored ({told}), and its EXIF turns it "
            f"upright ({came}): give the truth of the upright picture, or take the EXIF out of the file"
        )
    raise UsageError(
        f"{shown(one.file.name)}: the truth is for a picture of {told} (width × height), and the file has {came}: give "
        "the picture that the truth was made for"
    )


def turned(files: Iterable[Path]) -> int:
    """How many of these photographs are shown otherwise than they are stored."""
    return sum(_orientation(file) != 1 for file in files)


def without_thing(sizes: Mapping[str, Size | None], things: Mapping[str, Sequence[Thing]]) -> tuple[str, ...]:
    """What is said of pictures that the truth lists and tells no object of."""
    left = sum(name not in things for name in sizes)
    return (f"pictures of the truth without an object, which cannot be judged: {left}",) if left else ()


def _meant(name: str, by_name: Mapping[str, Sequence[Path]]) -> Path | None:
    parts = _parts(name)
    there = by_name.get(parts[-1], ()) if parts else ()
    if len(there) < 2:
        return there[0] if there else None
    common = [_common(parts[:-1], file.parent.parts) for file in there]
    best = [file for file, many in zip(there, common, strict=True) if many == max(common)]
    if len(best) > 1:
        raise UsageError(
            f"{shown(name)} of the truth could be {shown(str(best[0]))} or {shown(str(best[1]))}: name it with its "
            "folder, or with its suffix"
        )
    return best[0]


def _own(file: Path, names: Sequence[str]) -> list[str]:
    """Of names that end alike, those whose folders are the file's; they must be one picture's."""
    common = [_common(_parts(name)[:-1], file.parent.parts) for name in names]
    own = [name for name, many in zip(names, common, strict=True) if many == max(common)]
    for name in own[1:]:
        if not _same(own[0], name):
            raise UsageError(
                f"{shown(own[0])} and {shown(name)} of the truth would both be {shown(file.name)}: give the folder "
                "that holds the folders of those names"
            )
    return own


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many last parts are equal."""
    many = 0
    while many < min(len(one), len(other)) and one[-1 - many] == other[-1 - many]:
        many += 1
    return many


def _same(one: str, other: str) -> bool:
    """Whether two names can be one picture's: the folders of one are the last folders of the other."""
    folders = [_parts(name)[:-1] for name in (one, other)]
    return _common(*folders) == min(map(len, folders))


def _orientation(file: Path) -> int:
    try:
        with Image.open(file) as image:
            value = image.getexif().get(_ORIENTATION, 1)
    except READER_ERRORS:  # told when it is the picture's turn
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
