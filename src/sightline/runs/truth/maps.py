"""Maps of another tool, one file a photograph."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sightline.errors import UsageError
from sightline.reports.names import shown
from sightline.runs.contest_book import Entry


def maps_of(folder: Path, entries: Iterable[Entry]) -> list[Any]:
    """The maps of another tool: one .npy a photograph, under its name; None where there is none.

    Raises:
        UsageError: no map at all, or a file that is no array.
    """
    found: list[Any] = []
    for entry in entries:
        file = folder / f"{Path(entry.path).stem}.npy"
        try:
            found.append(np.load(file, allow_pickle=False) if file.is_file() else None)
        except (OSError, ValueError) as error:
            raise UsageError(f"the map {shown(file.name)} is no array: {str(error).splitlines()[0]}") from error
    if all(one is None for one in found):
        raise UsageError(
            f"{shown(str(folder))} holds no map of these pictures: expected one .npy under each picture's name"
        )
    return found
