"""A contest: methods, baselines and maps of other tools, each judged by the same metrics on the same pictures.

Every method is asked by itself, with a clean pass of its own, so that what it costs does not depend on who came before
it; pictures of one size may go through the network together. What fails for one picture, one method or one metric is
recorded and the others go on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import CancelledError, NotSupportedError, SightlineError, UsageError
from sightline.evaluation.baselines import BASELINES
from sightline.evaluation.comparison import Comparison
from sightline.evaluation.evaluate import judge_all
from sightline.evaluation.subject import Subject, of_array
from sightline.models.classifier import Classifier
from sightline.models.preparation_check import glance
from sightline.models.targets import check_known
from sightline.passes.passes import Passes
from sightline.runs.contest_book import Book, Contest, Entry, Judged, comparison_of, failure_of
from sightline.runs.contest_together import Ahead, Asked, asked_together
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
    if (doubt := glance(classifier, [entry.source for entry in contest.entries])) is not None:
        classifier = dataclasses.replace(classifier, notes=(*classifier.notes, doubt))
    book = Book(refused=dict(contest.refused))
    with order.passes(classifier) as passes:
        for found in _outcomes(passes, contest, book):
            if isinstance(found, Judged):
                book.enter(found)
            else:
                book.failures.append(found)
            watch(found)
    if book.defect is not None and not book.values:  # not one method's but ours altogether
        raise book.defect
    return comparison_of(classifier, contest, book), passes.count


def _outcomes(passes: Passes, contest: Contest, book: Book) -> Iterator[Judged | dict[str, str]]:
    """Every row on every picture, picture by picture; of several, maps may be made at once."""
    for group in asked_together(passes, contest):
        if isinstance(group, dict):
            yield group
            continue
        ahead = Ahead(passes, group)
        for asked in group:
            yield from _picture(passes, contest, asked, ahead, book)


def _picture(
    passes: Passes, contest: Contest, asked: Asked, ahead: Ahead, book: Book
) -> Iterator[Judged | dict[str, str]]:
    """Every row on one picture."""
    entry = asked.entry
    book.open(asked.place, asked.ready.picture.name, asked.explained.label)
    for row, make in _rows(passes, contest, asked, ahead):
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


def _rows(passes: Passes, contest: Contest, asked: Asked, ahead: Ahead) -> Iterator[tuple[str, Callable[[], Judged]]]:
    """Who is judged on this picture: a name, and what makes the map."""
    place, ready, explained = asked.place, asked.ready, asked.explained

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
        yield str(method), lambda method=method: ahead.map_of(asked, method)  # type: ignore[misc]
    for name, maps in contest.maps.items():
        if (one := maps[place]) is not None:
            yield name, lambda name=name, one=one: foreign(name, one)  # type: ignore[misc]
    for name, make in BASELINES.items():
        yield name, lambda name=name, make=make: plain(name, make(height, width, seed))  # type: ignore[misc]


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
