"""The progress of `sightline compare` and `sightline evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sightline.percent import percent

if TYPE_CHECKING:
    from sightline.runs.contest_book import Contest, Judged


class Watch:
    """Progress on stderr: a bar where that is a terminal, else a line a picture; failures are always told."""

    def __init__(self, contest: Contest, *, quiet: bool) -> None:
        from sightline.evaluation.baselines import BASELINES

        self._rows = len(contest.order.methods) + len(contest.maps) + len(BASELINES)
        self._pictures, self._quiet, self._last = len(contest.entries), quiet, -1
        self._bar: Any = None

    def __enter__(self) -> None:
        if not self._quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self._rows * self._pictures, unit="map", file=sys.stderr, leave=False)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def passes(self, done: int, expected: int) -> None:
        """Passes of the question at hand."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"pass {done} of {expected}")

    def see(self, found: Judged | Mapping[str, str]) -> None:
        """A map is judged, or something failed."""
        from sightline.reports.names import shown

        if isinstance(found, Mapping):
            what = " ".join(found[key] for key in ("picture", "method", "metric") if found[key])
            self._line(f"{shown(what)}: {shown(found['reason'])}")
            return
        if self._bar is not None:
            self._bar.update()
            self._bar.set_description_str(shown(found.row))
        elif not self._quiet and found.place != self._last:
            self._last = found.place
            label, likely = shown(found.explained.label), found.explained.probability
            self._line(
                f"[{found.place + 1}/{self._pictures}] {shown(found.ready.picture.name)}: {label} {percent(likely)}"
            )

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)
