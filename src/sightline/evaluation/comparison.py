"""What a comparison found: methods × metrics over pictures, with what may be believed of it.

Nothing is asked of a network here: the values are those that were measured, and every interval, difference, rank and
front is worked out from them when it is first looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any

from sightline.evaluation.aggregate import CONFIDENCE, Interval, class_mean, interval
from sightline.evaluation.base import Curve, Jointly, Metric
from sightline.evaluation.differences import Better, Difference, differences, front, ranks
from sightline.evaluation.rows import filled, of_places, there
from sightline.evaluation.standing import Contender, Standing

_SAME = 1e-9
BY_CLASS = "pointing-game"
"""The metric that is also told as the mean over classes, as its authors do."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Methods × metrics over pictures.

    Attributes:
        model: what was explained.
        pictures: their names, in the order of the values.
        targets: what was explained of each, in words.
        rows: who is compared.
        metrics: who judges.
        values: metric → row → a value a picture, as it was measured, None where there is none. A metric that judged no
            row is left out. What is told of a metric comes from `counted`.
        refused: method or `method / metric` → why it is not there.
        failures: single pictures, methods or metrics that failed: `picture`, `method`, `metric`, `reason`.
        confidence, seed: of the intervals, and the seed also of the random maps.
        places: of the pictures in the list that was given; some may have failed.
        curves: metric → row → its curve on every picture, None where there is none, of metrics that judge all pictures
            together.
        only: which of the pictures these are, where they are not all of them, in words.
        cautions: what maps and values came with, that must be known before believing them; of all pictures.
    """

    model: str
    pictures: tuple[str, ...]
    targets: tuple[str, ...]
    rows: tuple[Contender, ...]
    metrics: tuple[Metric, ...]
    values: Mapping[str, Mapping[str, tuple[float | None, ...]]]
    refused: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[Mapping[str, str], ...] = ()
    confidence: float = CONFIDENCE
    seed: int = 0
    places: tuple[int, ...] = ()
    curves: Mapping[str, Mapping[str, Sequence[Curve | None]]] = field(default_factory=dict)
    only: str = ""
    cautions: tuple[str, ...] = ()

    @cached_property
    def judged(self) -> tuple[Metric, ...]:
        """The metrics that have values."""
        return tuple(metric for metric in self.metrics if self.values.get(str(metric)))

    def counted(self, metric: Metric | str) -> Mapping[str, tuple[float | None, ...]]:
        """Row → what each picture counts: the value that was measured, or, where all are judged together, what then."""
        rows = self.values[str(metric)]
        found = {name: (row, self.jointly(metric, name)) for name, row in rows.items()}
        return {name: row if one is None else filled(row, one.values) for name, (row, one) in found.items()}

    def jointly(self, metric: Metric | str, name: str) -> Jointly | None:
        """A row's pictures judged together, by a metric that does so; None by others."""
        curves = self.curves.get(str(metric), {}).get(name)
        judge = next((one for one in self.judged if str(one) == str(metric)), None)
        if curves is None or judge is None or not judge.traits.joint:
            return None
        return judge.jointly([curve for curve in curves if curve is not None])

    def tells(self, metric: Metric | str) -> bool:
        """Whether any two rows differ in a metric at all, on any picture."""
        columns = zip(*self.counted(metric).values(), strict=True)
        each = ([one for one in column if one is not None] for column in columns)
        return any(column and max(column) - min(column) > _SAME * max(map(abs, column)) for column in each)

    def row(self, name: str) -> Contender:
        """The row of this name."""
        return next(row for row in self.rows if row.name == name)

    def standings(self, metric: Metric | str) -> Mapping[str, Standing]:
        """Row → how it stands in one metric, the best first."""
        return self._standings[str(metric)]

    def best(self, metric: Metric | str) -> str | None:
        """The method with the best mean; None where only baselines were judged."""
        return next((name for name in self.standings(metric) if self.row(name).kind != "baseline"), None)

    def chance(self, metric: Metric | str) -> str | None:
        """The baseline with the best mean."""
        return next((name for name in self.standings(metric) if self.row(name).kind == "baseline"), None)

    @cached_property
    def order(self) -> tuple[Contender, ...]:
        """The rows, those first whose ranks are best on average over the metrics."""
        return tuple(sorted(self.rows, key=lambda row: self.mean_rank(row.name) or float("inf")))

    def mean_rank(self, name: str) -> float | None:
        """The mean over the metrics of its ranks; None where nothing is ranked."""
        standings = (self.standings(metric).get(name) for metric in self.judged)
        places = [one.rank for one in standings if one is not None and one.rank is not None]
        return sum(places) / len(places) if places else None

    @cached_property
    def _standings(self) -> dict[str, dict[str, Standing]]:
        return {str(metric): self._standing(metric) for metric in self.judged}

    def _standing(self, metric: Metric) -> dict[str, Standing]:
        rows, (ranked, better) = self.counted(metric), self._ranked(metric)
        spans = {name: interval(there(row), confidence=self.confidence, seed=self.seed) for name, row in rows.items()}
        worth = {name: fmean(there(row)) for name, row in ranked.items()}
        order = sorted(rows, key=lambda name: -worth[name] if better == "higher" else worth[name])
        kinds = {row.name: row.kind for row in self.rows}
        best = next((name for name in order if kinds[name] != "baseline"), None)
        chance = next((name for name in order if kinds[name] == "baseline"), None)
        places = self._ranks(metric)
        methods = [name for name in order if kinds[name] == "method"]
        values, costs = [worth[name] for name in methods], [self.row(name).passes for name in methods]
        fronts = dict(zip(methods, front(values, costs, better), strict=True))
        to_best, to_chance = self._differences(metric, best), self._differences(metric, chance)
        return {
            name: Standing(
                interval=spans[name],
                rank=places.get(name),
                to_best=to_best.get(name),
                to_chance=to_chance.get(name),
                front=fronts.get(name, False),
                by_class=self._by_class(metric, name),
            )
            for name in order
        }

    def _ranked(self, metric: Metric) -> tuple[Mapping[str, Sequence[float | None]], Better]:
        """What the rows are ranked by, and which way: their values, or how far these lie from the best one."""
        rows, ideal = self.counted(metric), metric.traits.ideal
        if ideal is None:
            return rows, metric.traits.better
        away = {name: [None if one is None else abs(one - ideal) for one in row] for name, row in rows.items()}
        return away, "lower"

    def _differences(self, metric: Metric, against: str | None) -> dict[str, Difference]:
        if against is None:
            return {}
        rows, better = self._ranked(metric)
        found = differences(rows, better, against=against, confidence=self.confidence, seed=self.seed)
        return {one.one: one for one in found}

    def _ranks(self, metric: Metric) -> dict[str, float]:
        rows, better = self._ranked(metric)
        together = any(all(row[place] is not None for row in rows.values()) for place in range(len(self.pictures)))
        return ranks(rows, better) if together else {}

    def _by_class(self, metric: Metric, name: str) -> Interval | None:
        if metric.name != BY_CLASS or len(set(self.targets)) < 2:
            return None
        pairs = [
            (value, target)
            for value, target in zip(self.values[str(metric)][name], self.targets, strict=True)
            if value is not None
        ]
        hits, classes = zip(*pairs, strict=True)
        return class_mean(hits, classes, confidence=self.confidence, seed=self.seed)

    def subset(self, kept: Sequence[bool], words: str) -> Comparison:
        """The same for some of the pictures, such as the difficult ones."""
        places = [place for place, keep in enumerate(kept) if keep]
        values, curves = of_places(self.values, places), of_places(self.curves, places)
        return replace(
            self,
            pictures=tuple(self.pictures[place] for place in places),
            targets=tuple(self.targets[place] for place in places),
            values=values,
            places=tuple(self.places[place] for place in places),
            curves=curves,
            only=words,
            cautions=(),
        )

    def words(self) -> list[str]:
        """What may be said of it, in sentences: who leads, what is noise, what is no better than chance."""
        from sightline.evaluation.comparison_words import sentences

        return sentences(self)

    def table(self) -> str:
        """Methods × metrics as plain text, the sentences beneath."""
        from sightline.evaluation.comparison_words import text

        return text(self)

    def to_csv(self) -> str:
        """Every value: picture, target, method, metric, value; one line each, with a heading."""
        from sightline.evaluation.comparison_words import csv_text

        return csv_text(self)

    def record(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "model": self.model,
            "only": self.only,
            "pictures": [
                {"picture": name, "target": target} for name, target in zip(self.pictures, self.targets, strict=True)
            ],
            "confidence": self.confidence,
            "seed": self.seed,
            "rows": [{**vars(row), "passes": row.passes} for row in self.rows],
            "metrics": [
                {
                    "metric": metric.describe(),
                    "better": metric.traits.better,
                    "ideal": metric.traits.ideal,
                    "best": self.best(metric),
                    "chance": self.chance(metric),
                    "standings": {name: one.record() for name, one in self.standings(metric).items()},
                    "values": {name: list(row) for name, row in self.counted(metric).items()},
                }
                for metric in self.judged
            ],
            "words": self.words(),
            "cautions": list(self.cautions),
            "refused": dict(self.refused),
            "failures": [dict(one) for one in self.failures],
        }

    def _repr_html_(self) -> str:
        from sightline.evaluation.comparison_words import html_table

        return html_table(self)

    def __repr__(self) -> str:
        return f"<Comparison {len(self.rows)} rows × {len(self.judged)} metrics over {len(self.pictures)} pictures>"
