"""What a long run has found so far, kept on the disk, so that one that is broken off goes on where it was.

One JSON object a line: first what all the others hold for (settings, seed, versions, weights, code), then a name and
its value each. A line is on the disk before the next piece is begun. What was found under other settings is never
mixed in: it is refused, and left as it is. No torch here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import sightline
from sightline.errors import UsageError

_ROOMS = ("attribution", "demo", "evaluation", "images", "models", "passes", "runs")
"""Where values are made; what draws and words them may change in the middle of a run."""
_FORMS = ("*.py", "*.safetensors")


class Unfinished:
    """A file of what is done, in a `with` block; nothing is on the disk before the first piece is found.

    Attributes:
        place: the file.
        done: the names of what it holds.

    Args:
        place: the file, of an earlier run or yet to be made; None to keep nothing.
        held_for: what every piece holds for, plain JSON values.

    Raises:
        UsageError: the file holds what was found under other settings, or is none of Sightline's.
    """

    def __init__(self, place: Path | None, held_for: Mapping[str, Any]) -> None:
        self.place = place
        self._head = json.loads(json.dumps(held_for))
        self._found: dict[str, Any] = {}
        self._file: IO[bytes] | None = None
        self._there = 0  # bytes, by what was read and written
        self._whole = 0  # bytes of whole lines; what a power cut left behind them is written over
        if place is not None:
            self._read(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def done(self) -> frozenset[str]:
        """The names of all pieces that are known."""
        return frozenset(self._found)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """The piece of this name, as plain JSON values: what is kept of it, or else what is made now, and then kept."""
        if name not in self._found:
            line = json.dumps({"name": name, "value": make()})
            self._append(line)
            self._found[name] = json.loads(line)["value"]
        return self._found[name]

    def finish(self) -> None:
        """Take the file away: the run has come to its end."""
        self.__exit__(None, None, None)
        if self.place is not None:
            self.place.unlink(missing_ok=True)

    def _append(self, line: str) -> None:
        if self.place is None:
            return
        try:
            if self._file is None:
                self._file = self._opened(self.place)
                line = line if self._whole else json.dumps(self._head) + "\n" + line
            self._file.write(line.encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._there = self._whole = self._file.tell()
        except OSError as error:
            raise UsageError(f"cannot write {self.place}: {error.strerror or error}") from error

    def _opened(self, place: Path) -> IO[bytes]:
        """For lines behind those that were read; none may have come there since, from a run beside this one."""
        file = place.open("ab")
        if file.seek(0, os.SEEK_END) != self._there:
            file.close()
            raise UsageError(f"another run is writing {place}: wait for its end, or take another --out")
        file.truncate(self._whole)
        return file

    def _read(self, place: Path) -> None:
        try:
            content = place.read_bytes()
            self._there = len(content)
            self._whole = content.rfind(b"\n") + 1
            lines = [json.loads(line) for line in content[: self._whole].splitlines()]
            found = {line["name"]: line["value"] for line in lines[1:]}
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise UsageError(f"cannot read {place}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{place} is no record of an unfinished run: move it away, or take another --out"
            ) from error
        if lines and lines[0] != self._head:
            raise UsageError(
                f"{place} is of an unfinished run with {_apart(lines[0], self._head)}: take another --out, or delete "
                "that file to begin anew"
            )
        self._found = found


def code_sha256() -> str:
    """Of the code and the built-in weights that values are made with: others may give others under one version."""
    whole, root = hashlib.sha256(), Path(sightline.__file__).parent
    files = (file for room in _ROOMS for form in _FORMS for file in (root / room).rglob(form))
    for file in sorted(files):
        whole.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def _apart(theirs: Any, ours: Mapping[str, Any]) -> str:
    """In which settings two heads differ, in words."""
    if not isinstance(theirs, dict):
        return "no settings"
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    return "another " + ", another ".join(
        f"{name} ({_short(theirs, name)}, now {_short(ours, name)})" for name in names
    )


def _short(head: Mapping[str, Any], name: str) -> str:
    text = json.dumps(head.get(name))
    return text if len(text) <= 100 else text[:12] + '…"'
