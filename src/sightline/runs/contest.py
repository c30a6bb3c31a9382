"""A contest: methods, baselines and maps of other tools, each judged by the same metrics on the same pictures.

Every method is asked by itself, with a clean pass of its own, so that what it costs does not depend on who came before
it. What fails for one picture, one method or one metric is recorded and the others go on.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.attribution.base import Method
from sightline.attribution.result import Explained
from sightline.errors import CancelledError, NotSupportedError, SightlineError, TargetError, UsageError
from sightline.evaluation.baselines import BASELINES
from sightline.evaluation.comparison import Comparison
from sightline.evaluation.evaluate import judge_all
from sightline.evaluation.subject import Subject, of_array, of_attribution
from sightline.models.classifier import Classifier
from sightline.models.intake import Prepared, prepare
from sightline.models.targets import Target, check_known, resolve
from sightline.passes.passes import Passes
from sightline.runs.contest_book import Book, Contest, Entry, Judged, comparison_of, failure_of
from sightline.runs.order import Order
from sightline.runs.outcome import About, attribution_of
from sightline.types import Count

_ANOTHER = 1_000_003  # between the seeds of two pictures


Watch = Callable[["Judged | Mapping[str, str]"], object]
"""Called with each map when it is judged, and with each failure."""


def hold(classifier: Classifier, contest: Contest, watch: Watch = lambda _: None) -> tuple[Comparison, Count]:
    """Judge every row on every picture; the comparison, and the passes of all of it.

    Raises:
        UsageError: what is wrong with every picture alike: an unknown class, a mask where none fits.
        CancelledError: the progress function asked to stop.
    """
    order = contest.order
    for entry in contest.entries:
        check_known(entry.target, classifier.labels)
    book = Book(refused=dict(contest.refused))
    with Passes(
        classifier,
        precision=order.precision,
        device=order.device,
        memory=order.memory,
        progress=order.progress,
        runtime=order.runtime,
    ) as passes:
        for place, entry in enumerate(contest.entries):
            for found in _picture(passes, contest, place, entry, book):
                if isinstance(found, Judged):
                    book.enter(found)
                else:
                    book.failures.append(found)
                watch(found)
    if book.defect is not None and not book.values:  # not one method's but ours altogether
        raise book.defect
    return comparison_of(classifier, contest, book), passes.count


def _picture(
    passes: Passes, contest: Contest, place: int, entry: Entry, book: Book
) -> Iterator[Judged | dict[str, str]]:
    """Every row on one picture."""
    try:
        ready = prepare(entry.source, place, passes.classifier)
        pixels = ready.pixels.to(passes.device)
        scores = passes.scores(pixels)
        targets = resolve(entry.target, scores, passes.classifier.labels)
        if len(targets) != 1:
            raise TargetError(f"methods are compared for one target a picture, and {entry.target!r} means several")
    except (UsageError, CancelledError):  # wrong with every picture alike, or a wish
        raise
    except SightlineError as error:
        yield failure_of(entry, error)
        return
    explained = explained_of(passes, scores, targets[0])
    book.open(place, ready.picture.name, explained.label)
    for row, make in _rows(passes, contest, place, ready, explained, targets[0]):
        if row in book.refused:
            continue
        try:
            done = make()
        except (NotSupportedError, UsageError) as error:
            if row in book.costs or row in contest.maps:  # this picture or this map is what is wrong
                yield failure_of(entry, error, row)
            else:
                book.refused[row] = str(error)
        except CancelledError:
            raise
        except SightlineError as error:
            yield failure_of(entry, error, row)
        except Exception as error:  # a defect of one method must not lose the hours of all others: it is told as one
            book.defect = book.defect or error
            yield failure_of(entry, error, row)
        else:
            yield from _with_judgements(passes, contest, entry, done, book)


def _rows(
    passes: Passes, contest: Contest, place: int, ready: Prepared, explained: Explained, target: Target
) -> Iterator[tuple[str, Callable[[], Judged]]]:
    """Who is judged on this picture: a name, and what makes the map."""

    def plain(row: str, values: NDArray[np.float32]) -> Judged:
        subject = Subject(
            name=f"{ready.picture.name}: {row}",
            pixels=ready.pixels,
            frame=ready.frame,
            map=values,
            picture_map=ready.frame.to_picture(values),
            wanted=explained,
            precision=passes.precision,
        )
        return Judged(place=place, row=row, ready=ready, subject=subject, explained=explained, judgements=())

    def foreign(row: str, values: NDArray[Any]) -> Judged:
        wanted: Any = explained.index if explained.against is None else (explained.index, explained.against)
        subject = of_array(values, contest.entries[place].source, wanted, passes.classifier, place)
        subject = dataclasses.replace(subject, wanted=explained, precision=passes.precision)
        return Judged(place=place, row=row, ready=ready, subject=subject, explained=explained, judgements=())

    height, width = ready.frame.input
    seed = contest.seed + _ANOTHER * place
    for method in contest.order.methods:
        yield str(method), lambda method=method: _explained(passes, place, ready, target, method)  # type: ignore[misc]
    for name, maps in contest.maps.items():
        if (one := maps[place]) is not None:
            yield name, lambda name=name, one=one: foreign(name, one)  # type: ignore[misc]
    for name, make in BASELINES.items():
        yield name, lambda name=name, make=make: plain(name, make(height, width, seed))  # type: ignore[misc]


def _explained(passes: Passes, place: int, ready: Prepared, target: Target, method: Method) -> Judged:
    """The map of one method, with what it costs by itself."""
    pixels, wants = ready.pixels.to(passes.device), Order(methods=(method,)).wants(passes.classifier.layer)
    before, start = passes.count, time.perf_counter()
    with passes.shared(pixels, gradients=wants.gradients, layers=wants.layers) as scores:
        maps = method(passes, pixels, target)
        cost, seconds = passes.count - before, time.perf_counter() - start
        about = About(passes, scores, target, method, cost - Count(forward=1), seconds, passes.ran())
        found = attribution_of(about, maps, 0, ready)
    return Judged(
        place=place,
        row=str(method),
        ready=ready,
        subject=of_attribution(found),
        explained=found.target,
        judgements=(),
        attribution=found,
        passes=cost,
        seconds=seconds,
    )


def _with_judgements(
    passes: Passes, contest: Contest, entry: Entry, done: Judged, book: Book
) -> Iterator[Judged | dict[str, str]]:
    """The map with every judgement that can be had; the metrics that fail are told one by one."""
    able = [metric for metric in contest.metrics if not (metric.traits.needs_method and done.attribution is None)]
    if len(able) < len(contest.metrics) and done.row not in BASELINES:
        for metric in contest.metrics:
            if metric not in able:
                book.refused[f"{done.row} / {metric}"] = "it explains again, which a map of another tool cannot"
    able = [metric for metric in able if f"{done.row} / {metric}" not in book.refused]
    mask = entry.mask if any(metric.traits.needs_mask for metric in able) else None
    try:
        judgements = judge_all(passes, done.subject, able, mask) if able else []
    except CancelledError:
        raise
    except Exception:  # whatever it is, the metric that meets it says so below, and the others are had
        judgements = []
        for metric in able:
            try:
                judgements += judge_all(passes, done.subject, [metric], mask if metric.traits.needs_mask else None)
            except NotSupportedError as error:
                book.refused[f"{done.row} / {metric}"] = str(error)
            except Exception as error:  # as above: one metric of one map
                book.defect = book.defect or error
                yield failure_of(entry, error, done.row, metric)
    yield dataclasses.replace(done, judgements=tuple(judgements))


def explained_of(passes: Passes, scores: Any, target: Target) -> Explained:
    """The target of one picture in words and numbers."""
    label, index = passes.classifier.label, int(target.index[0])
    against = None if target.against is None else int(target.against[0])
    return Explained(
        index=index,
        label=label(index) if against is None else f"{label(index)} vs {label(against)}",
        score=float(target.score(scores)[0]),
        probability=float(passes.probability(scores, target)[0]),
        against=against,
    )
