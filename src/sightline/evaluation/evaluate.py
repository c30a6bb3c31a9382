"""Judge maps: those that `explain` made, and those of any other tool.

Every metric on one map shares one clean pass over its picture, and metrics that do not ask the network cost none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch

from sightline.attribution.result import Attribution
from sightline.errors import UsageError
from sightline.evaluation.base import Metric, Question
from sightline.evaluation.masks import as_boxes, as_mask, masks_for
from sightline.evaluation.result import Judgement
from sightline.evaluation.subject import About, Subject, of_array, of_attribution
from sightline.evaluation.table import METRICS
from sightline.models.catalogue import load
from sightline.models.classifier import wrap
from sightline.passes.passes import Passes
from sightline.passes.runner import Precision
from sightline.passes.runtimes.question import Runtime
from sightline.types import Count, Pixels, Progress, Scores

Metrics = str | Metric | type[Metric] | Sequence["str | Metric | type[Metric]"]


def evaluate(  # noqa: PLR0913 (all but the first three are keywords, as on the command line)
    model: Any,
    attributions: Any,
    metrics: Metrics = ("deletion", "insertion"),
    *,
    mask: Any = None,
    picture: Any = None,
    target: Any = None,
    precision: Precision = "float32",
    device: str | torch.device | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    runtime: Runtime = "auto",
) -> Judgement | list[Judgement]:
    """Numbers that say how good maps are.

    Args:
        model: the network that the maps explain, as `explain` takes it.
        attributions: what `explain` gave: one `Attribution` or a list. Or a map of another tool, an array or tensor
            `h w` of the size of the network's input or of the picture, with `picture` and `target`; or a list of them.
        metrics: a name with fields (`"deletion(steps=28)"`), a value, or a list of them.
        mask: where the object is, in the upright picture, for metrics that need it: booleans `H W`, a box (left, top,
            right, bottom), a polygon of corners (x, y), several (`evaluation.masks.Boxes`, `Polygons`), a picture that
            is white on the object; a list gives each map its own.
        picture: for maps of another tool only: the picture, or prepared input; a list gives each map its own.
        target: for maps of another tool only: what the map explains, as `explain` takes it; a list gives each its own.
        precision: `float32`, or `fast` (bfloat16 passes).
        device: where to run; by default where the model is.
        memory: bytes for activations at a time.
        progress: called with (passes done, passes expected); False cancels.
        runtime: `auto`, `eager` (torch alone) or `openvino`, as for `explain`.

    Returns:
        One `Judgement` for one map and one metric, else a list: map by map, within a map metric by metric.

    Raises:
        UsageError: an unknown metric or field, a mask that is missing or does not fit, a map that does not fit.
        PictureError: a picture or mask picture that cannot be read.
        NonFiniteError: a map, or the network's scores, hold NaN or infinity.
    """
    given = list(attributions) if isinstance(attributions, list | tuple) else [attributions]
    judges = as_metrics(metrics)
    if mask is not None and not any(judge.traits.needs_mask for judge in judges):
        raise UsageError(
            f"a mask was given, but {', '.join(map(str, judges))} uses none: add pointing-game or relevance-mass"
        )
    masks = masks_for(mask, len(given))
    classifier = load(model) if isinstance(model, str) else wrap(model)
    pictures, targets = _each(picture, len(given), "pictures"), _each(target, len(given), "targets")
    subjects = [
        _subject(*one, classifier=classifier, place=place)
        for place, one in enumerate(zip(given, pictures, targets, strict=True))
    ]
    passes = Passes(classifier, precision=precision, device=device, memory=memory, progress=progress, runtime=runtime)
    with passes:
        found = [
            judgement
            for subject, one_mask in zip(subjects, masks, strict=True)
            for judgement in judge_all(passes, subject, judges, one_mask)
        ]
    one = not isinstance(attributions, list | tuple) and not isinstance(metrics, list | tuple)
    return found[0] if one else found


def as_metrics(metrics: Metrics) -> tuple[Metric, ...]:
    """The metrics as values.

    Raises:
        SpecError: a text that names no metric, or a field that it does not have.
    """
    given = list(metrics) if isinstance(metrics, list | tuple) else [metrics]
    if not given:
        raise UsageError("no metric was given: `sightline metrics` lists them")
    return tuple(METRICS.make(cast(Any, metric)) for metric in given)


def judge_all(passes: Passes, subject: Subject, metrics: Sequence[Metric], mask: Any = None) -> list[Judgement]:
    """The judgements of one map, with one clean pass for all metrics that ask the network; none where the caller shares
    one over these pixels.

    Args:
        passes: where the network is asked.
        subject: the map (`sightline.evaluation.subject`).
        metrics: who judges.
        mask: where the object is, as `evaluate` takes it.
    """
    object_mask = as_mask(mask, subject.frame.picture)
    pixels = subject.pixels.to(passes.device)
    asks = subject.needs_scores or any(metric.traits.asks for metric in metrics)
    before = passes.count
    with _asked(passes, pixels) if asks else nullcontext() as scores:
        clean = passes.count - before
        about = subject.about(passes, scores)
        question = Question(
            pixels=pixels,
            map=subject.map,
            picture_map=subject.picture_map,
            target=about.target,
            frame=subject.frame,
            mask=object_mask,
            boxes=as_boxes(mask),
            method=subject.method,
            precision=None if subject.method is None else subject.precision,
        )
        return [_judgement(passes, metric, question, (subject, about, clean)) for metric in metrics]


@contextmanager
def _asked(passes: Passes, pixels: Pixels) -> Iterator[Scores]:
    """The scores of a clean pass that all metrics share: the caller's own, where there is one."""
    if passes.shares(pixels):
        yield passes.scores(pixels)
    else:
        with passes.shared(pixels) as scores:
            yield scores


def _judgement(passes: Passes, metric: Metric, question: Question, known: tuple[Subject, About, Count]) -> Judgement:
    """One metric on one map; what the clean pass cost and showed is told where the metric asked the network."""
    subject, about, clean = known
    before, start = passes.count, time.perf_counter()
    found = metric(passes, question)
    asks = metric.traits.asks
    return Judgement(
        metric=metric,
        value=found.value,
        subject=about.text,
        passes=passes.count - before + (clean if asks else Count()),
        seconds=time.perf_counter() - start,
        curve=found.curve,
        details=found.details,
        warnings=tuple(dict.fromkeys([*subject.warnings, *(about.warnings if asks else ()), *found.warnings])),
    )


def _each(given: Any, count: int, what: str) -> list[Any]:
    """One for each map: the same for all, or the members of a list."""
    if not isinstance(given, list):
        return [given] * count
    if len(given) != count:
        raise UsageError(f"{len(given)} {what} for {count} maps: give one for all, or one a map")
    return given


def _subject(given: Any, picture: Any, target: Any, *, classifier: Any, place: int) -> Subject:
    if isinstance(given, Attribution):
        if picture is not None or target is not None:
            raise UsageError(
                "picture= and target= are for maps of other tools; an Attribution brings its own: to judge its map for "
                "another picture or target, give attribution.map"
            )
        return of_attribution(given)
    return of_array(given, picture, target, classifier, place)
