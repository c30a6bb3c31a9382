"""A comparison written into a folder: report, manifest, raw maps, every value as CSV and JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sightline.evaluation.comparison import Comparison
from sightline.images.thresholds import Otsu
from sightline.models.classifier import Classifier
from sightline.pictures.style import PLAIN, Style
from sightline.reports.boxes import truth_path
from sightline.reports.compared import MOST_PICTURES, About, Strip, comparison_html, photograph, small, thumb
from sightline.reports.folder import OutputFolder
from sightline.reports.manifest import MANIFEST, REPORT, Manifest
from sightline.reports.names import FileNames
from sightline.runs.contest import Watch, hold
from sightline.runs.contest_book import Contest, Judged
from sightline.runs.outcome import versions
from sightline.runs.run import npy
from sightline.types import Count

COMPARISON, VALUES = "comparison.json", "values.csv"
Parts = Callable[[Comparison], Sequence[Comparison]]
"""What else is told of a comparison: the same for some of its pictures."""


@dataclass(eq=False)
class _Writer:
    """Writes every map as it is judged, and keeps what the page shows."""

    folder: OutputFolder
    contest: Contest
    style: Style
    names: FileNames = field(default_factory=FileNames)
    records: list[dict[str, Any]] = field(default_factory=list)
    gallery: dict[int, Strip] = field(default_factory=dict)
    small: dict[int, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def see(self, done: Judged) -> None:
        """One map: its file, its record, its place in the gallery."""
        picture = done.ready.picture
        if done.place in self.gallery or len(self.gallery) < MOST_PICTURES:
            if done.place not in self.gallery:
                self.small = {done.place: small(picture.rgb)}
                truth = truth_path(self.contest.entries[done.place].mask, picture.size)
                shown = photograph(self.small[done.place])
                self.gallery[done.place] = Strip(picture.name, done.explained.label, shown, truth=truth)
            rgb, frame = self.small[done.place], done.subject.frame
            boxes = Otsu() if self.gallery[done.place].truth else None
            drawn = thumb(rgb, frame, done.subject.map, done.judgements, self.style, boxes=boxes)
            self.gallery[done.place].thumbs[done.row] = drawn
        if done.attribution is None:
            return
        name = self.names.of(picture.name, picture.sha256, done.explained.label, done.row)
        file = f"maps/{name}.npy"
        self.folder.write(file, npy(done.attribution.map))
        self.records.append(
            done.attribution.record()
            | {
                "path": self.contest.entries[done.place].path,
                "files": {"map": file},
                "metrics": [judgement.record() for judgement in done.judgements],
            }
        )
        origin = done.attribution.origin
        self.settings = {
            "network": origin.classifier,
            "weights (SHA-256)": origin.weights_sha256 or "not known",
            "scores": origin.head,
            "precision": origin.precision,
            "device": origin.device,
        }


def compare_into(
    classifier: Classifier,
    contest: Contest,
    folder: OutputFolder,
    *,
    command: Sequence[str] = (),
    watch: Watch = lambda _: None,
    parts: Parts = lambda _: (),
    notes: Sequence[str] = (),
) -> tuple[Comparison, Manifest]:
    """Hold the contest, and write everything into an opened folder, which is then finished.

    Raises:
        UsageError: as `hold`; the folder's place is then untouched.
    """
    start, writer = time.perf_counter(), _Writer(folder, contest, PLAIN)

    def see(found: Judged | Mapping[str, str]) -> None:
        if isinstance(found, Judged):
            writer.see(found)
        watch(found)

    comparison, count = hold(classifier, contest, see)
    more = list(parts(comparison))
    totals = _totals(contest, comparison, writer, count, time.perf_counter() - start)
    manifest = Manifest(
        command=tuple(command),
        totals=totals,
        records=writer.records,
        failures=[dict(one) for one in comparison.failures],
        others=(COMPARISON, VALUES),
    )
    settings = writer.settings | _settings(contest, comparison, count, totals["seconds"])
    about = About(settings=list(settings.items()), command=command, created=manifest.created, notes=notes)
    record = comparison.record() | {"parts": [one.record() for one in more], "totals": totals, "notes": list(notes)}
    folder.write(COMPARISON, _json(record))
    folder.write(VALUES, comparison.to_csv().encode("utf-8", "backslashreplace"))
    page = comparison_html([comparison, *more], list(writer.gallery.values()), about)
    folder.write(REPORT, page.encode("utf-8"))
    folder.write(MANIFEST, manifest.to_bytes())
    folder.finish()
    return comparison, manifest


def _totals(contest: Contest, comparison: Comparison, writer: _Writer, count: Count, seconds: float) -> dict[str, Any]:
    return {
        "pictures": len(contest.entries),
        "records": len(writer.records),
        "failures": len(comparison.failures),
        "passes": {"forward": count.forward, "backward": count.backward},
        "seconds": round(seconds, 3),
        "runtime": "; ".join(dict.fromkeys(record["runtime"] for record in writer.records)),
    }


def _settings(contest: Contest, comparison: Comparison, count: Count, seconds: float) -> dict[str, str]:
    return {
        "passes in all": f"{count.forward:,} forward, {count.backward:,} backward",
        "time in all": f"{seconds:.1f} s",
        "pictures": f"{len(comparison.pictures)} of {len(contest.entries)} judged",
        "seed": str(contest.seed),
        "interval": f"{comparison.confidence:.0%}, BCa bootstrap over pictures",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, allow_nan=False, default=_plain) + "\n").encode("ascii")


def _plain(value: Any) -> Any:
    """Numbers of numpy as those of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON")
