"""A run: explain pictures, judge the maps, and write everything into one folder with its report.

Each picture is written as soon as it is done, so that memory does not grow with the pictures; the report and the
manifest come last, and the folder takes its name when all of it is on the disk.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.attribution.result import Attribution
from sightline.errors import NonFiniteError, PictureError, SightlineError
from sightline.evaluation.base import Metric
from sightline.images.thresholds import Threshold
from sightline.models.classifier import Classifier
from sightline.pictures.marks import Marks, marked
from sightline.pictures.outlines import Loops
from sightline.pictures.overlay import overlay
from sightline.pictures.scale import Scale
from sightline.pictures.style import PLAIN, Style
from sightline.reports.boxes import BOXES, boxed, boxes_csv, marks_of, truth_loops
from sightline.reports.content import Pictured, Result, pictured
from sightline.reports.folder import OutputFolder
from sightline.reports.manifest import MANIFEST, REPORT, Manifest
from sightline.reports.names import FileNames
from sightline.reports.report import MOST_PICTURES, Told, report_html
from sightline.runs.explain import explained
from sightline.runs.judging import judged
from sightline.runs.order import Failure, Order
from sightline.runs.pictures import Given
from sightline.types import Count

Watch = Callable[[int, "list[dict[str, Any]] | dict[str, Any]"], object]
"""Called when a picture is done: its place, and its records, or its failure."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """What a run is to do.

    Attributes:
        pictures: what is explained.
        order: how.
        metrics: who judges the maps.
        boxes: what turns maps into boxes, if they are wanted.
        judge: whether each map is judged beside random ones.
        style: how overlays and the report are drawn.
        command: the words that the user gave, for the record.
        own_scales: the report opens with each map on its own scale; else on the scale that `style.share` says.
        figure: makes the bytes of a figure from the results of the first pictures and their marks, if one is wanted.
        figure_file: where the figure goes.
    """

    pictures: Sequence[Given]
    order: Order
    metrics: tuple[Metric, ...] = ()
    boxes: Threshold | None = None
    judge: bool = False
    style: Style = PLAIN
    own_scales: bool = True
    command: tuple[str, ...] = ()
    figure: Callable[[list[Attribution], list[Marks]], bytes] | None = None
    figure_file: Path | None = None


@dataclass(eq=False)
class _Found:
    """What a run has found so far."""

    records: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    drawn: list[Pictured] = field(default_factory=list)
    passes: Count = Count()


def run(classifier: Classifier, job: Job, folder: OutputFolder, watch: Watch = lambda *_: None) -> Manifest:
    """Do the job in an opened folder, and finish the folder.

    Raises:
        UsageError, NotSupportedError: what is wrong with every picture alike; the folder's place is then untouched.
    """
    start = time.perf_counter()
    found, names = _Found(), FileNames()
    for place, outcome in _by_picture(classifier, job):
        given = job.pictures[place]
        try:
            if isinstance(outcome, Failure):
                raise outcome.error
            done = [boxed(one, job.boxes) for one in judged(classifier, outcome, given.mask, job)]
        except (PictureError, NonFiniteError) as error:
            found.failures.append(_failure(given, error))
            watch(place, found.failures[-1])
            continue
        truth = _truth(given, done, job)
        records = [_written(result, (given, truth), job.style, (folder, names)) for result in done]
        found.records += records
        found.passes += _cost(done)
        if len(found.drawn) < MOST_PICTURES:
            found.drawn.append(pictured(done, truth))
        watch(place, records)
    return _finish(found, job, folder, time.perf_counter() - start)


def _truth(given: Given, done: Sequence[Result], job: Job) -> Loops:
    """The object's outline, where something is held against it: boxes, or a metric that needs to know where it is."""
    wanted = job.boxes is not None or any(metric.traits.needs_mask for metric in job.metrics)
    return truth_loops(given.mask, done[0].attribution.picture.size) if wanted else ()


def _by_picture(classifier: Classifier, job: Job) -> Iterator[tuple[int, list[Attribution] | Failure]]:
    """What was found picture by picture: all results of one picture share its `Picture`, and come one after another."""
    place, together = 0, list[Attribution]()
    for outcome in explained(classifier, [given.source for given in job.pictures], job.order):
        if together and (isinstance(outcome, Failure) or outcome.picture is not together[0].picture):
            yield place, together
            place, together = place + 1, []
        if isinstance(outcome, Failure):
            yield outcome.place, outcome
            place = outcome.place + 1
        else:
            together.append(outcome)
    if together:
        yield place, together


def _written(
    result: Result, of: tuple[Given, Loops], style: Style, where: tuple[OutputFolder, FileNames]
) -> dict[str, Any]:
    """Write the files of one result of a picture, the object's outline known or not; its record."""
    (given, truth), (folder, names), one = of, where, result.attribution
    name = names.of(one.picture.name, one.picture.sha256, one.target.label, str(one.method))
    seen = None if one.seen.all() else one.seen
    scale = style.scale(one.picture_map, seen)
    files = {"map": f"maps/{name}.npy", "overlay": f"overlays/{name}.png"}
    folder.write(files["map"], npy(one.map))
    drawn = overlay(one.picture.rgb, one.picture_map, style, scale, seen)
    folder.write(files["overlay"], _png(marked(drawn, marks_of(result, truth))))
    for word, values in one.arrays.items():
        files[word] = f"maps/{name}.{word}.npy"
        folder.write(files[word], npy(values))
    return one.record() | {
        "path": given.path,
        "files": files,
        "scale": _scale(scale),
        "metrics": [judgement.record() for judgement in result.judgements],
        **({} if result.regions is None else {"boxes": [vars(region) for region in result.regions]}),
        **({} if result.belief is None else {"belief": result.belief.record()}),
    }


def _finish(found: _Found, job: Job, folder: OutputFolder, seconds: float) -> Manifest:
    totals = {
        "pictures": len(job.pictures),
        "records": len(found.records),
        "failures": len(found.failures),
        "passes": {"forward": found.passes.forward, "backward": found.passes.backward},
        "seconds": round(seconds, 3),
        "runtime": "; ".join(dict.fromkeys(record["runtime"] for record in found.records)),
    }
    figure, others = _figure(found, job), list[str]()
    inside = _inside(folder, job.figure_file)
    if figure is not None and inside is not None:
        folder.write(inside, figure)
        others.append(inside)
    if job.boxes is not None:
        folder.write(BOXES, boxes_csv(found.records))
        others.append(BOXES)
    manifest = Manifest(
        command=job.command, totals=totals, records=found.records, failures=found.failures, others=tuple(others)
    )
    told = Told(
        command=job.command,
        totals=totals,
        failures=found.failures,
        created=manifest.created,
        own_scales=job.own_scales,
    )
    folder.write(REPORT, report_html(found.drawn, told, job.style).encode("utf-8"))
    folder.write(MANIFEST, manifest.to_bytes())
    folder.finish()
    if figure is not None and inside is None and job.figure_file is not None:
        folder.write_beside(job.figure_file, figure)
    return manifest


def _figure(found: _Found, job: Job) -> bytes | None:
    drawn = [(result, marks_of(result, one.truth)) for one in found.drawn for result in one.results]
    if job.figure is None or not drawn:
        return None
    return job.figure([result.attribution for result, _ in drawn], [marks for _, marks in drawn])


def _inside(folder: OutputFolder, file: Path | None) -> str | None:
    """The figure's name relative to the folder, if it is to lie in there."""
    if file is None or not file.expanduser().resolve().is_relative_to(folder.place):
        return None
    return file.expanduser().resolve().relative_to(folder.place).as_posix()


def _failure(given: Given, error: SightlineError) -> dict[str, Any]:
    if isinstance(error, PictureError):
        return {"picture": Path(given.path).name, "path": given.path, "kind": error.kind, "reason": error.reason}
    return {"picture": Path(given.path).name, "path": given.path, "kind": "non-finite", "reason": str(error)}


def _cost(done: Sequence[Result]) -> Count:
    """Passes of one picture: the clean pass that its methods shared is counted once."""
    total = Count(forward=1)
    for result in done:
        total += result.attribution.passes - Count(forward=1)
        clean = False
        for judgement in result.judgements:
            shared = Count(forward=1) if clean and judgement.passes.forward else Count()
            total += judgement.passes - shared
            clean = clean or judgement.passes.forward > 0
        total += Count() if result.belief is None else result.belief.passes
    return total


def _scale(scale: Scale) -> dict[str, Any]:
    return {"low": scale.low, "high": scale.high, "words": scale.words()}


def _png(image: NDArray[np.uint8]) -> bytes:
    """A PNG made quickly: the smallest file would take ten seconds for a photograph of 12 megapixels."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def npy(values: NDArray[Any]) -> bytes:
    """An array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values), allow_pickle=False)
    return buffer.getvalue()
