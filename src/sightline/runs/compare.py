"""Compare methods: which is best on these pictures, by which metric, at what cost, and which differences are noise.

Every method and the baselines (two random maps and the centre, always) are judged by the same metrics on the same
pictures. What is said of them is worked out in `sightline.evaluation.comparison`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sightline.attribution.base import Method
from sightline.attribution.table import METHODS
from sightline.errors import NotSupportedError, UsageError
from sightline.evaluation.base import Metric
from sightline.evaluation.baselines import BASELINES
from sightline.evaluation.comparison import Comparison
from sightline.evaluation.evaluate import Metrics, as_metrics
from sightline.evaluation.masks import masks_for
from sightline.images.load import Picture
from sightline.models.catalogue import load
from sightline.models.classifier import Classifier, wrap
from sightline.passes.passes import Passes
from sightline.passes.runner import Precision
from sightline.passes.runtimes.question import Runtime
from sightline.runs.contest import hold
from sightline.runs.contest_book import Contest, Entry
from sightline.runs.explain import Methods, as_methods
from sightline.runs.order import Order
from sightline.runs.pictures import as_sources
from sightline.runs.plan import Plan, plans_and_refusals
from sightline.types import Progress

ALL = "all"


def compare(  # noqa: PLR0913 (all but the first four are keywords, as on the command line)
    model: Any,
    pictures: Any,
    methods: Methods = ALL,
    metrics: Metrics = ("deletion", "insertion"),
    *,
    target: Any = "top",
    mask: Any = None,
    maps: Mapping[str, Sequence[Any]] | None = None,
    layer: str | None = None,
    budget: int | None = None,
    precision: Precision = "float32",
    seed: int = 0,
    device: str | torch.device | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    runtime: Runtime = "auto",
) -> Comparison:
    """Methods × metrics over pictures, with intervals, paired differences, ranks and what each method costs.

    Args:
        model: as for `explain`.
        pictures: as for `explain`.
        methods: as for `explain`, or `all`: every method that the network supports; the others are told with the
            reason. The baselines `random`, `random-patches` and `centre` are always there.
        metrics: as for `evaluate`.
        target: as for `explain`, one target a picture; a list gives each picture its own.
        mask: where the object is, for metrics that need it, as for `evaluate`; a list gives each picture its own.
        maps: of other tools: a name → one array `h w` a picture, or None where there is none.
        layer: for every method that looks at a layer.
        budget: leave out methods that would ask for more passes than this for a picture.
        precision, device, memory, progress, runtime: as for `explain`.
        seed: of the methods that draw random numbers, of the random maps, and of the intervals.

    Returns:
        the comparison: `.table()`, `.words()`, `.standings(metric)`, `.to_csv()`, `.record()`.

    Raises:
        UsageError: no picture; an unknown method, metric, class or layer; a metric that needs a mask and got none.
    """
    sources, _ = as_sources(pictures)
    classifier = load(model) if isinstance(model, str) else wrap(model)
    order = Order(methods=(), precision=precision, device=device, memory=memory, progress=progress, runtime=runtime)
    contest = contest_of(
        classifier,
        entries_of(sources, target, mask),
        dataclasses.replace(order, methods=chosen(methods, classifier, layer=layer, seed=seed)),
        as_metrics(metrics),
        maps=maps or {},
        seed=seed,
    )
    return hold(classifier, supported(classifier, contest, budget))[0]


def entries_of(sources: Sequence[Any], target: Any, mask: Any) -> list[Entry]:
    """One entry a picture."""
    if not sources:
        raise UsageError("no picture was given")
    given = target.tolist() if hasattr(target, "tolist") else target
    targets = given if isinstance(given, list) else [given] * len(sources)
    if len(targets) != len(sources):
        raise UsageError(f"{len(targets)} targets for {len(sources)} pictures: give one, or one a picture")
    masks = masks_for(mask, len(sources))
    return [
        Entry(path=_named(source) or f"picture {place}", source=source, target=one, mask=where)
        for place, (source, one, where) in enumerate(zip(sources, targets, masks, strict=True))
    ]


def _named(source: Any) -> str:
    return source if isinstance(source, str) else source.name if isinstance(source, Picture) else ""


def chosen(methods: Methods, classifier: Classifier, *, layer: str | None, seed: int) -> tuple[Method, ...]:
    """The methods as values; each once.

    Raises:
        SpecError: a text that names no method.
    """
    given: Methods = list(METHODS) if methods == ALL else methods
    return tuple(dict.fromkeys(as_methods(given, classifier, layer=layer, seed=seed)))


def contest_of(
    classifier: Classifier,
    entries: Sequence[Entry],
    order: Order,
    metrics: tuple[Metric, ...],
    *,
    maps: Mapping[str, Sequence[Any]],
    seed: int,
) -> Contest:
    """A contest whose masks and maps are there; methods that the network does not support are refused.

    Raises:
        UsageError: a metric that needs a mask and a picture without one; not one map a picture.
    """
    needs = [metric.name for metric in metrics if metric.traits.needs_mask]
    lacking = [entry.path for entry in entries if entry.mask is None]
    if needs and lacking:
        raise UsageError(f"{needs[0]} needs to know where the object is in {lacking[0]}: give its mask or boxes")
    for name, each in maps.items():
        if len(each) != len(entries):
            raise UsageError(f"{len(each)} maps of {name} for {len(entries)} pictures: give one a picture, or None")
        if name in BASELINES or name in map(str, order.methods):
            raise UsageError(f"maps are named {name!r}, as something else that is compared: give them another name")
    refused, able = dict[str, str](), list[Method]()
    with Passes(classifier, precision=order.precision, device=order.device, memory=order.memory) as passes:
        for method in order.methods:
            try:
                method.check(passes)
                able.append(method)
            except (NotSupportedError, UsageError) as error:
                refused[str(method)] = str(error)
    return Contest(
        entries=tuple(entries),
        order=dataclasses.replace(order, methods=tuple(able)),
        metrics=metrics,
        maps=maps,
        refused=refused,
        seed=seed,
    )


def supported(classifier: Classifier, contest: Contest, budget: int | None) -> Contest:
    """The contest without the methods that are too dear; what does not tell its cost stays."""
    if budget is None:
        return contest
    over = {
        str(plan.method): f"it would ask for {total:,} passes for a picture, and the budget is {budget:,}"
        for plan in foretold(classifier, contest)
        if (total := plan.passes.forward + plan.passes.backward) > budget
    }
    kept = tuple(method for method in contest.order.methods if str(method) not in over)
    return dataclasses.replace(
        contest,
        order=dataclasses.replace(contest.order, methods=kept),
        refused={**contest.refused, **over},
    )


def foretold(classifier: Classifier, contest: Contest) -> list[Plan]:
    """What each method would cost for the first picture, where it tells."""
    if not contest.order.methods:
        return []
    first = contest.entries[0]
    order = dataclasses.replace(contest.order, target=first.target)
    return plans_and_refusals(classifier, first.source, order)[0]
