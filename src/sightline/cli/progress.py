"""Progress on stderr: a bar where that is a terminal, else a line a picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

from sightline.percent import percent
from sightline.reports.names import shown

if TYPE_CHECKING:
    from sightline.runs.pictures import Given


class Progress:
    """Told of passes and of finished pictures; failures are told even when quiet."""

    def __init__(self, pictures: Sequence[Given], *, quiet: bool) -> None:
        self._pictures = pictures
        self._quiet = quiet
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            self._bar = tqdm(
                total=len(self._pictures), unit="picture", file=sys.stderr, dynamic_ncols=True, leave=False
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def passes(self, done: int, expected: int) -> None:
        """Passes of the question at hand."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"pass {done} of {expected}")

    def done(self, place: int, found: list[dict[str, Any]] | dict[str, Any]) -> None:
        """A picture is done: its records, or its failure."""
        name = shown(Path(self._pictures[place].path).name)
        if self._bar is not None:
            self._bar.update()
        if isinstance(found, dict):
            self._line(f"{name}: {shown(found['reason'])}")
        elif self._bar is None and not self._quiet:
            target = found[0]["target"]
            self._line(
                f"[{place + 1}/{len(self._pictures)}] {name}: {shown(target['label'])} {percent(target['probability'])}"
            )

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)
