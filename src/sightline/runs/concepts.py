"""Concepts of a set of pictures: what a layer tells apart in all of them, learnt together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from sightline.attribution.base import Method
from sightline.attribution.concepts.bank import Bank
from sightline.attribution.concepts.found import Concepts, Example
from sightline.attribution.concepts.learning import CLASSES, Learning, Reading, cautions
from sightline.errors import TargetError, UsageError
from sightline.models.catalogue import load
from sightline.models.classifier import Classifier, wrap
from sightline.models.intake import Prepared, prepare
from sightline.models.targets import Target, Wanted, check_known, resolve
from sightline.passes.passes import Passes
from sightline.passes.runner import Precision
from sightline.reports.figure import as_seen
from sightline.runs.explain import as_methods
from sightline.runs.pictures import as_sources
from sightline.types import Progress, Scores

_MOST_EXAMPLES = 12


def concepts(  # noqa: PLR0913 (all but the first three are keywords, as for `explain`)
    model: Any,
    pictures: Any,
    method: str | Method | type[Method] = "deep-feature-factorisation",
    *,
    target: Wanted = "top",
    layer: str | None = None,
    seed: int | None = None,
    precision: Precision = "float32",
    device: str | torch.device | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Concepts:
    """What a layer tells apart in several pictures, the same concepts in all of them.

    Args:
        model: a `Classifier`, a name that `load` knows, or an `nn.Module`.
        pictures: as for `explain`; they are prepared to one size and held together. For the concepts of a class, give
            pictures that the model takes for it: the authors of CRAFT use 300 and more.
        method: `deep-feature-factorisation` or `craft`, with fields, as text or value.
        target: the class whose score is explained: its index, its name, or `top`, the class that most of the pictures
            are taken for.
        layer: where; chosen and told when left out.
        seed: of the start of the factorisation.
        precision, device, memory, progress: as for `explain`.

    Returns:
        the concepts; `sightline.figure(found, kind="concepts")` draws them.

    Raises:
        UsageError: no picture, pictures of several sizes, a method that finds no concepts, an unknown class or layer.
        PictureError: a picture that cannot be read.
        NotSupportedError: the method is not defined for this model.
    """
    sources, _ = as_sources(pictures)
    if not sources:
        raise UsageError("no picture was given")
    classifier = load(model) if isinstance(model, str) else wrap(model)
    learner = _learner(method, classifier, layer, seed)
    check_known(target, classifier.labels)
    ready = [prepare(source, place, classifier) for place, source in enumerate(sources)]
    sizes = sorted({tuple(one.pixels.shape[-2:]) for one in ready})
    if len(sizes) > 1:
        raise UsageError(
            f"the network is given pictures of {len(sizes)} sizes, such as {sizes[0]} and {sizes[-1]}, and concepts "
            "are learnt at one: load it with a preparation that crops, or crop the pictures"
        )
    passes = Passes(classifier, precision=precision, device=device, memory=memory, progress=progress)
    with passes, torch.inference_mode(False):
        learner.check(passes)
        pixels = torch.cat([one.pixels for one in ready]).to(passes.device)
        wanted = _one_class(target, passes.scores(pixels), classifier.labels)
        view = learner.look(passes, pixels, wanted)
        bank = learner.learn(passes, pixels, view)
        readings = learner.read(passes, pixels, view, wanted, bank)
    notes = [*cautions(view), *(note for one in ready for note in one.warnings), *passes.classifier.notes]
    return _found(passes, learner, ready, wanted, (view.layer.name, bank, readings, tuple(dict.fromkeys(notes))))


def _learner(
    method: str | Method | type[Method], classifier: Classifier, layer: str | None, seed: int | None
) -> Learning:
    (value,) = as_methods(method, classifier, layer=layer, seed=seed)
    if not isinstance(value, Learning):
        raise UsageError(f"{value.name} finds no concepts: give deep-feature-factorisation or craft")
    return value


def _one_class(target: Wanted, scores: Scores, labels: tuple[str, ...] | None) -> Target:
    if target == "top":
        return Target.of(int(scores.argmax(1).mode().values), len(scores))
    found = resolve(target, scores, labels)
    if len(found) != 1:
        raise TargetError(f"concepts are weighed for one class, and {target!r} came: give an index, a name or 'top'")
    return found[0]


def _found(
    passes: Passes,
    learner: Learning,
    ready: Sequence[Prepared],
    wanted: Target,
    known: tuple[str, Bank, list[Reading], tuple[str, ...]],
) -> Concepts:
    layer, bank, readings, warnings = known
    likely = torch.stack([reading.probabilities for reading in readings]).mean(0)
    best = likely.topk(min(CLASSES, likely.shape[1]), 1)
    label = passes.classifier.label
    against = None if wanted.against is None else int(wanted.against[0])
    name = label(int(wanted.index[0]))
    return Concepts(
        method=learner,
        layer=layer,
        target=int(wanted.index[0]),
        label=name if against is None else f"{name} vs {label(against)}",
        pictures=tuple(one.picture.name for one in ready),
        shown=np.stack([as_seen(one.picture.rgb, one.frame) for one in ready]),
        frames=tuple(one.frame for one in ready),
        strengths=bank.strengths.cpu().numpy(),
        directions=bank.directions.cpu().numpy(),
        effects=torch.stack([reading.effects for reading in readings]).cpu().numpy(),
        classes=best.indices.cpu().numpy(),
        class_probabilities=best.values.cpu().numpy(),
        names={int(index): label(int(index)) for index in best.indices.unique()},
        examples=_examples(bank, ready[0].frame.input),
        passes=passes.count,
        warnings=warnings,
    )


def _examples(bank: Bank, size: tuple[int, int]) -> tuple[tuple[Example, ...], ...]:
    """Where each concept is strongest: the best crop of each picture, else whole pictures by its sum in them."""
    if bank.crops is None:
        pictures = torch.arange(len(bank.strengths))
        boxes, strengths = [(0, 0, *size)] * len(pictures), bank.strengths.sum((2, 3)).cpu()
    else:
        pictures, strengths = bank.crops.pictures, bank.crops.strengths.cpu()
        boxes = [cast("tuple[int, int, int, int]", tuple(box)) for box in bank.crops.boxes.tolist()]
    found = []
    for column in strengths.T:
        of_picture: dict[int, Example] = {}
        for place in column.argsort(descending=True, stable=True).tolist():
            picture = int(pictures[place])
            if picture not in of_picture and column[place] > 0:
                of_picture[picture] = Example(picture=picture, box=boxes[place], strength=float(column[place]))
        found.append(tuple(of_picture.values())[:_MOST_EXAMPLES])
    return tuple(found)
