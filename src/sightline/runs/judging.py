"""The maps of one picture with what was found of them: judgements, and how far each can be believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from sightline.attribution.result import Attribution
from sightline.evaluation.base import Metric
from sightline.evaluation.belief import beliefs
from sightline.evaluation.evaluate import evaluate
from sightline.models.classifier import Classifier
from sightline.reports.content import Result
from sightline.runs.order import Order


class Wanted(Protocol):
    """What of a job is looked at here."""

    @property
    def order(self) -> Order:
        """How the network is asked."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Who judges the maps."""

    @property
    def judge(self) -> bool:
        """Whether each map is judged beside random ones."""


def judged(classifier: Classifier, maps: list[Attribution], mask: Any, wanted: Wanted) -> list[Result]:
    """The maps with their judgements and, where that is wanted, how far each can be believed."""
    done = _judged(classifier, maps, mask, wanted)
    if not wanted.judge:
        return done
    with wanted.order.passes(classifier) as passes:
        found = beliefs(passes, maps)
    return [replace(result, belief=belief) for result, belief in zip(done, found, strict=True)]


def _judged(classifier: Classifier, maps: list[Attribution], mask: Any, wanted: Wanted) -> list[Result]:
    if not wanted.metrics:
        return [Result(one) for one in maps]
    needs_mask = any(metric.traits.needs_mask for metric in wanted.metrics)
    judgements = evaluate(
        classifier,
        maps,
        list(wanted.metrics),
        mask=mask if needs_mask else None,
        precision=wanted.order.precision,
        device=wanted.order.device,
        memory=wanted.order.memory,
        progress=wanted.order.progress,
        runtime=wanted.order.runtime,
    )
    assert isinstance(judgements, list)
    count = len(wanted.metrics)
    return [Result(one, tuple(judgements[row * count : (row + 1) * count])) for row, one in enumerate(maps)]
