"""Files that hold networks: there, and known by what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from sightline.errors import ModelError


def existing(place: str) -> Path:
    """The file itself.

    Raises:
        ModelError: it is not there, or is empty.
    """
    file = Path(place).expanduser()
    if not file.is_file():
        raise ModelError(f"{file} is a folder: give a file in it" if file.is_dir() else f"no file {file}")
    if file.stat().st_size == 0:
        raise ModelError(f"{file} is empty")
    return file


def sha256_of_files(files: Iterable[Path]) -> str:
    """The SHA-256 of files' bytes, one after another."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while part := opened.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def refused_weights(file: Path) -> ModelError:
    """What to say where weights were given for a file that holds its own."""
    return ModelError(f"{file} holds its own weights: leave --weights out")
