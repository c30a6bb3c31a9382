"""`--maps DIR`: maps of another tool, beside or in place of methods."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sightline.errors import UsageError


def add_maps(group: argparse._ArgumentGroup) -> None:
    """The option, in `compare` and `evaluate` alike."""
    group.add_argument(
        "--maps",
        action="append",
        metavar="DIR",
        help="maps of another tool: one .npy a picture, h × w, under its name; they alone unless methods are named",
    )


def folders_of(words: Sequence[str]) -> dict[str, Path]:
    """The folders by the name that their maps have in the table: the folder's own, or the words where two are alike.

    Raises:
        UsageError: no such folder, or one that was given twice.
    """
    folders = {word: Path(word).expanduser() for word in words}
    for word, path in folders.items():
        if not path.is_dir():
            raise UsageError(f"--maps {word}: there is no such folder")
    if len({path.resolve() for path in folders.values()}) < len(words):
        raise UsageError(f"--maps: a folder was given twice among {', '.join(words)}")
    own = [path.resolve().name for path in folders.values()]
    return {
        name if name and own.count(name) == 1 else word: path
        for (word, path), name in zip(folders.items(), own, strict=True)
    }
