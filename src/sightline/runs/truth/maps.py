"""Maps of another tool, one file a photograph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sightline.errors import UsageError
from sightline.reports.names import shown
from sightline.runs.contest_book import Entry


def maps_of(folder: Path, entries: Iterable[Entry]) -> list[Any]:
    """The maps of another tool, None where there is none: `dog.jpg.npy`, or else `dog.npy`, for the picture `dog.jpg`.

    Raises:
        UsageError: no map at all, one that could be of two pictures, or a file that is no array.
    """
    entries = list(entries)
    pictures = {Path(entry.path).resolve() for entry in entries}
    stems = Counter(path.stem for path in pictures)
    found = [_map_of(folder, Path(entry.path), stems) for entry in entries]
    if all(one is None for one in found):
        raise UsageError(
            f"{shown(str(folder))} holds no map of these pictures: expected one .npy under each picture's name"
        )
    return found


def _map_of(folder: Path, picture: Path, stems: Mapping[str, int]) -> Any:
    whole, short = folder / f"{picture.name}.npy", folder / f"{picture.stem}.npy"
    file = whole if whole.is_file() else short
    if not file.is_file():
        return None
    if file == short and stems[picture.stem] > 1:
        raise UsageError(
            f"{shown(short.name)} could be the map of {stems[picture.stem]} pictures of that name: call it "
            f"{shown(whole.name)}, and the others likewise"
        )
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"the map {shown(file.name)} is no array: {str(error).splitlines()[0]}") from error
