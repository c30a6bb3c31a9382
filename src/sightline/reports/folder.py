"""The folder of a run, written so that nobody ever sees half of it.

Everything goes into a hidden folder beside the one that was asked for; each file is flushed to the disk; at the end the
hidden folder takes the name. An earlier run of Sightline is replaced; a folder that holds anything else is refused, and
nothing of it is touched.
"""

from __future__ import annotations

import glob
import os
import secrets
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from sightline.errors import UsageError
from sightline.reports.manifest import MANIFEST, read_manifest
from sightline.reports.names import shown

HALF = ".half"
STALE = 86_400
"""Seconds after which a half written folder belongs to nobody."""


class OutputFolder:
    """A folder in the making: `with OutputFolder(place) as folder: folder.write(…); folder.finish()`.

    Without `finish` (an error, Ctrl-C) the place is left as it was.

    Raises:
        UsageError: the place holds something else, or cannot be written.
    """

    def __init__(self, place: Path) -> None:
        self.place = _checked(place)
        self.half = self.place.parent / f".{self.place.name[:60]}.{secrets.token_hex(4)}{HALF}"
        self._bytes = 0

    def __enter__(self) -> Self:
        try:
            self.place.parent.mkdir(parents=True, exist_ok=True)
            _remove_orphans(self.place)
            self.half.mkdir()
        except OSError as error:
            raise self._refused(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.half.exists():
            shutil.rmtree(self.half, ignore_errors=True)

    def write(self, name: str, content: bytes) -> None:
        """Write one file, named relative to the folder, and flush it to the disk."""
        target = self.half / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_through(target, content)
        except OSError as error:
            raise self._refused(error, len(content)) from error
        self._bytes += len(content)

    def finish(self) -> Path:
        """Give the folder its name, in place of an earlier run; returns the place."""
        _checked(self.place)  # somebody may have put something there since
        old = self.half.with_suffix(".old")
        try:
            for folder in (*(one for one in self.half.rglob("*") if one.is_dir()), self.half):
                flush_folder(folder)
            if not self.place.exists():
                self.half.rename(self.place)
            else:
                self.place.rename(old)
                try:
                    self.half.rename(self.place)
                except BaseException:
                    old.rename(self.place)
                    raise
                shutil.rmtree(old, ignore_errors=True)
            flush_folder(self.place.parent)
        except OSError as error:
            raise self._refused(error) from error
        return self.place

    def write_beside(self, target: Path, content: bytes) -> None:
        """Write a file elsewhere, whole or not at all."""
        half = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}{HALF}")
        try:
            write_through(half, content)
            half.replace(target)
        except OSError as error:
            half.unlink(missing_ok=True)
            raise UsageError(f"cannot write {shown(str(target))}: {error.strerror or error}") from error

    def _refused(self, error: OSError, more: int = 0) -> UsageError:
        need = f" ({(self._bytes + more) / 1e6:.1f} MB were written or being written)" if self._bytes + more else ""
        return UsageError(
            f"cannot write to {shown(str(self.place))}: {error.strerror or error}{need}; nothing there was changed: "
            "give another folder with --out"
        )


def write_through(target: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with target.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder; nothing where the system cannot (Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_orphans(place: Path) -> None:
    """Remove what runs to this place left half done that were killed more than a day ago."""
    for half in place.parent.glob(f".{glob.escape(place.name[:60])}.*{HALF}"):
        if time.time() - _last_written(half) > STALE:
            shutil.rmtree(half, ignore_errors=True)


def _last_written(folder: Path) -> float:
    """When a file came into a folder or into those in it; now, where another process is taking the folder away.

    Not the folder's own time alone: a run of some days writes into the folders inside, and must not lose them.
    """
    try:
        return max(one.stat().st_mtime for one in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return time.time()


def _checked(place: Path) -> Path:
    """The place, if a run may be put there.

    Raises:
        UsageError: it holds something that is not an earlier run.
    """
    name = shown(str(place))
    try:
        where = place.expanduser().resolve()
        if not where.exists():
            return where
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, links in a circle, a home of nobody
        raise UsageError(f"--out {name} cannot be a folder: {getattr(error, 'strerror', None) or error}") from error
    if not where.is_dir():
        raise UsageError(f"--out {name} is a file: give a folder")
    if Path.cwd().resolve().is_relative_to(where):
        raise UsageError(f"--out {name} is the folder you are in: give one inside it, such as --out sightline-out")
    files = (file for file in where.rglob("*") if not file.is_dir())
    if not (where / MANIFEST).is_file():
        if next(files, None) is None:
            return where
        raise UsageError(f"--out {name} is not empty and holds no earlier run: give a new or an empty folder")
    there = {file.relative_to(where).as_posix() for file in files}
    strangers = sorted(there - read_manifest(where).files)
    if strangers:
        raise UsageError(
            f"--out {name} holds an earlier run and also {shown(strangers[0])}, which would be lost: "
            "move it away, or give another folder"
        )
    return where
