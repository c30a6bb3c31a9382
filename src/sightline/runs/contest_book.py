"""What a contest is about, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from sightline.attribution.result import Attribution, Explained
from sightline.errors import PictureError, SightlineError
from sightline.evaluation.base import Curve, Metric, is_flat
from sightline.evaluation.baselines import BASELINES
from sightline.evaluation.cautions import Cautions
from sightline.evaluation.comparison import Comparison
from sightline.evaluation.result import Judgement
from sightline.evaluation.standing import Contender
from sightline.evaluation.subject import Subject
from sightline.models.classifier import Classifier
from sightline.models.intake import Prepared
from sightline.models.targets import Wanted
from sightline.runs.order import Order
from sightline.types import Count

T = TypeVar("T")

_WON_BY_FLAT = ("sanity", "robustness")
_FLAT = "a flat map would win {listed} by rule, so it has no value there"


@dataclass(frozen=True, eq=False, kw_only=True)
class Entry:
    """One picture of a contest: the words it was given by, what is loaded, what is explained, where the object is."""

    path: str
    source: Any
    target: Wanted = "top"
    mask: Any = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Contest:
    """What is to be done.

    Attributes:
        entries: the pictures.
        order: the methods, and how the network is asked; its target is not looked at.
        metrics: who judges.
        maps: of other tools: a name → one map a picture, None where there is none.
        refused: methods that were left out beforehand, with the reason.
        seed: of the random baselines, and of the intervals.
    """

    entries: Sequence[Entry]
    order: Order
    metrics: tuple[Metric, ...]
    maps: Mapping[str, Sequence[NDArray[Any] | None]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """One map with its judgements: what a report shows behind a cell."""

    place: int
    row: str
    ready: Prepared
    subject: Subject
    explained: Explained
    judgements: tuple[Judgement, ...]
    attribution: Attribution | None = None
    passes: Count = Count()
    seconds: float | None = None


@dataclass(eq=False)
class Book:
    """What is known so far."""

    refused: dict[str, str]
    values: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    costs: dict[str, list[tuple[Count, float | None]]] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    curves: dict[str, dict[str, list[Curve | None]]] = field(default_factory=dict)
    targets: list[str] = field(default_factory=list)
    defect: Exception | None = None
    cautions: Cautions = field(default_factory=Cautions)
    seen: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def open(self, place: int, picture: str, target: str) -> None:
        """Begin a picture: every row has no value yet."""
        self.places.append(place)
        self.pictures.append(picture)
        self.targets.append(target)
        _lengthen(self.values)
        _lengthen(self.curves)

    def enter(self, done: Judged) -> None:
        """Keep the values of one map of the picture at hand.

        A flat map keeps none of metrics that it would win by being flat: nothing of it can move, or stay the same.
        """
        self.costs.setdefault(done.row, []).append((done.passes, done.seconds))
        self.seen.setdefault((done.ready.picture.sha256, done.explained.label), set()).add(done.place)
        said = () if done.attribution is None else done.attribution.warnings
        self.cautions.add(done.row, done.place, [*said, *(text for one in done.judgements for text in one.warnings)])
        won_by_rule = [one for one in done.judgements if one.metric.traits.family in _WON_BY_FLAT]
        empty = won_by_rule if won_by_rule and is_flat(done.subject.map) else []
        if empty:
            self.cautions.add(done.row, done.place, [_FLAT.format(listed=", ".join(str(one.metric) for one in empty))])
        for judgement in done.judgements:
            if judgement in empty:
                continue
            rows = self.values.setdefault(str(judgement.metric), {})
            rows.setdefault(done.row, [None] * len(self.pictures))[-1] = judgement.value
            if judgement.metric.traits.joint:
                curves = self.curves.setdefault(str(judgement.metric), {})
                curves.setdefault(done.row, [None] * len(self.pictures))[-1] = judgement.curve


def _twice(book: Book) -> tuple[str, ...]:
    """What must be known of pictures that came more than once: an interval takes them for as many pictures."""
    again = sum(len(places) - 1 for places in book.seen.values())
    if not again:
        return ()
    which = "one picture was" if again == 1 else f"{again} pictures were"
    return (f"{which} judged before, for the same class: intervals and differences look surer than they are",)


def _lengthen(table: dict[str, dict[str, list[T | None]]]) -> None:
    """One more picture, of which nothing is known."""
    for rows in table.values():
        for row in rows.values():
            row.append(None)


def comparison_of(classifier: Classifier, contest: Contest, book: Book) -> Comparison:
    names = [str(method) for method in contest.order.methods]
    kinds = dict.fromkeys(names, "method") | dict.fromkeys(contest.maps, "maps") | dict.fromkeys(BASELINES, "baseline")
    return Comparison(
        model=classifier.name,
        pictures=tuple(book.pictures),
        targets=tuple(book.targets),
        rows=tuple(_contender(name, kind, book.costs[name]) for name, kind in kinds.items() if name in book.costs),
        metrics=contest.metrics,
        values={
            metric: {row: tuple(values) for row, values in rows.items() if any(one is not None for one in values)}
            for metric, rows in book.values.items()
        },
        refused=book.refused,
        failures=tuple(book.failures),
        seed=contest.seed,
        places=tuple(book.places),
        curves=book.curves,
        cautions=_twice(book)
        + book.cautions.lines(
            [name for name in kinds if name in book.costs],
            len(book.pictures),
            [name for name in names if name in book.costs],
        ),
    )


def _contender(name: str, kind: str, costs: Sequence[tuple[Count, float | None]]) -> Contender:
    timed = [seconds for _, seconds in costs if seconds is not None]
    return Contender(
        name=name,
        kind=kind,
        forward=sum(count.forward for count, _ in costs) / len(costs),
        backward=sum(count.backward for count, _ in costs) / len(costs),
        seconds=sum(timed) / len(timed) if timed else None,
    )


def failure_of(entry: Entry, error: Exception, row: str = "", metric: Metric | None = None) -> dict[str, str]:
    """One thing that could not be done, in words."""
    known = isinstance(error, SightlineError)
    kind = error.kind if isinstance(error, PictureError) else type(error).__name__ if known else "defect"
    reason = error.reason if isinstance(error, PictureError) else str(error)
    words = reason if known else f"this is a defect of Sightline: {type(error).__name__}: {reason}"
    return {
        "picture": Path(entry.path).name,
        "path": entry.path,
        "method": row,
        "metric": "" if metric is None else str(metric),
        "kind": kind,
        "reason": " ".join(words.split()),
    }
