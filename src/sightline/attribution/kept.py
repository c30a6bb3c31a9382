"""An explanation kept in files: its drawing, its raw map, or all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline.errors import UsageError
from sightline.pictures.sheets import png

if TYPE_CHECKING:
    from sightline.attribution.result import Attribution

DRAWINGS = (".png", ".jpg", ".jpeg", ".webp")
RAW = ".npy"


def keep(found: Attribution, place: Path) -> Path:
    """Write what the name of the place asks for, and return the place; folders on the way to it are made.

    Raises:
        UsageError: the name asks for a kind of file that is not made here, or nothing can be written there.
    """
    suffix = "" if place.is_dir() else place.suffix.lower()
    if suffix not in ("", RAW, *DRAWINGS):
        raise UsageError(
            f"{place.name}: a result is saved as a drawing ({', '.join(DRAWINGS)}), as its raw map ({RAW}), or with "
            "all it holds into a folder, whose name has no suffix; for .pdf and .svg there is "
            f"sightline.figure(result).savefig({place.name!r})"
        )
    try:
        (place.parent if suffix else place).mkdir(parents=True, exist_ok=True)
        if suffix == RAW:
            with place.open("wb") as file:  # by its name NumPy would write x.NPY.npy for x.NPY
                np.save(file, found.map, allow_pickle=False)
        elif suffix:
            found.to_pil().save(place)
        else:
            _keep_all(found, place)
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error.strerror or error}") from error
    return place


def _keep_all(found: Attribution, place: Path) -> None:
    """Everything into a folder, the JSON last: a reader that finds it finds the rest."""
    np.save(place / "map.npy", found.map, allow_pickle=False)
    for name, values in found.arrays.items():
        np.save(place / f"{name}.npy", values, allow_pickle=False)
    (place / "overlay.png").write_bytes(png(found.overlay()))
    record = found.record() | {"files": {"map": "map.npy", "overlay": "overlay.png"}}
    (place / "attribution.json").write_text(json.dumps(record, indent=2, ensure_ascii=False), "utf-8")
