"""Explain pictures: load, prepare, one clean pass, targets, methods, results.

Pictures of one size go through the network together, as many as memory allows; a picture's map does not depend on which
others came with it. All methods on the same pictures share one clean pass.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeAlias, cast

import torch

from sightline.attribution.base import Method
from sightline.attribution.result import Attribution
from sightline.attribution.table import METHODS
from sightline.errors import NonFiniteError, TargetError, UsageError
from sightline.models.catalogue import load
from sightline.models.classifier import Classifier, wrap
from sightline.models.intake import Prepared
from sightline.models.preparation_check import glance
from sightline.models.targets import Target, Wanted, check_known, resolve
from sightline.passes.passes import Passes
from sightline.passes.runner import Precision
from sightline.passes.runtimes.question import Runtime
from sightline.runs.groups import together
from sightline.runs.order import Failure, Order
from sightline.runs.outcome import About, attribution_of
from sightline.runs.pictures import as_sources
from sightline.spec import has_field, with_fields
from sightline.types import Count, Progress, Scores

Methods: TypeAlias = "str | Method | type[Method] | Sequence[str | Method | type[Method]]"


def explain(  # noqa: PLR0913 (all but the first three are keywords, as on the command line)
    model: Any,
    pictures: Any,
    methods: Methods | None = None,
    *,
    target: Any = "top",
    layer: str | None = None,
    precision: Precision = "float32",
    seed: int | None = None,
    device: str | torch.device | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    runtime: Runtime = "auto",
) -> Attribution | list[Attribution]:
    """Maps of why the model scored the pictures as it did.

    Args:
        model: a `Classifier` (`sightline.load`, `sightline.wrap`), a name that `load` knows, an `nn.Module`, or a
            callable from pixels to scores.
        pictures: a path, `demo:NAME` (a built-in picture), bytes, a Pillow image, a uint8 array or tensor, or a list of
            them. A float tensor or array is prepared input `c h w` or `b c h w`, taken as it is.
        methods: a name with fields (`"occlusion(window=75, stride=75)"`), a value, or a list of them; Grad-CAM where
            the model has layers, else occlusion, when left out.
        target: `top`, `top3`, a class index or name, `A-vs-B`; a list gives each picture its own.
        layer: for every method that looks at a layer.
        precision: `float32`, or `fast` (bfloat16 passes).
        seed: for every method that draws random numbers.
        device: where to run; by default where the model is.
        memory: bytes for activations at a time.
        progress: called with (passes done, passes expected); False cancels.
        runtime: what answers questions without gradients, and runs class activation maps up to their layer: `auto`, a
            compiled program where that is faster and gives the network's scores (extra `fast`); `eager`, torch alone;
            `openvino`, a program at whatever cost, of gradients at the pixels too (docs/decisions/0014).

    Returns:
        One `Attribution` for one picture, one target and one method, else a list: picture by picture, within a picture
        target by target, within a target method by method.

    Raises:
        UsageError: an unknown method, field, class or layer.
        PictureError: a picture that cannot be read.
        NotSupportedError: a method that is not defined for this model.
    """
    sources, single = as_sources(pictures)
    if not sources:
        raise UsageError("no picture was given")
    classifier = load(model) if isinstance(model, str) else wrap(model)
    order = Order(
        methods=as_methods(methods, classifier, layer=layer, seed=seed),
        target=_plain_target(target),
        precision=precision,
        device=device,
        memory=memory,
        progress=progress,
        runtime=runtime,
    )
    found: list[Attribution] = []
    # Closed here and now: an error's traceback would keep the generator, and so the quiet network, alive.
    with closing(explained(classifier, sources, order)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                if isinstance(outcome.error, NonFiniteError):
                    raise NonFiniteError(f"{outcome.picture}: {outcome.error}") from outcome.error
                raise outcome.error
            found.append(outcome)
    one = single and len(found) == 1 and (methods is None or not isinstance(methods, list | tuple))
    return found[0] if one else found


def explained(
    classifier: Classifier, sources: Iterable[Any], order: Order
) -> Generator[Attribution | Failure, None, None]:
    """The results of every picture in the order given; a picture that fails is told apart and the others go on.

    The network is quiet until the last result is taken or the generator is closed.

    Raises:
        UsageError, NotSupportedError: what is wrong with every picture alike is raised, not recorded.
    """
    sources = list(sources)
    if isinstance(order.target, list) and len(order.target) != len(sources):
        raise TargetError(f"{len(order.target)} targets for {len(sources)} pictures: give one, or one a picture")
    for wanted in order.target if isinstance(order.target, list) else [order.target]:
        check_known(cast(Wanted, wanted), classifier.labels)
    if (doubt := glance(classifier, sources)) is not None:
        classifier = replace(classifier, notes=(*classifier.notes, doubt))
    with order.passes(classifier) as passes:
        for method in order.methods:
            method.check(passes)
        for group in together(sources, classifier, passes, order):
            if isinstance(group, Failure):
                yield group
            else:
                yield from _explained_together(passes, group, order)


def as_methods(
    methods: Methods | None, classifier: Classifier, *, layer: str | None = None, seed: int | None = None
) -> tuple[Method, ...]:
    """The methods as values, with the layer and the seed of the call set in those that have such a field.

    Raises:
        SpecError: a text that names no method, or a layer for methods that look at none.
    """
    if methods is None:
        methods = "grad-cam" if classifier.network is not None else "occlusion"
    given = list(methods) if isinstance(methods, list | tuple) else [methods]
    if not given:
        raise UsageError("no method was given: `sightline methods` lists them")
    values = [METHODS.make(cast(Any, method)) for method in given]
    if layer is not None and not any(has_field(value, "layer") for value in values):
        raise UsageError(f"a layer was given, but {', '.join(map(str, values))} looks at no layer")
    changes = {name: value for name, value in (("layer", layer), ("seed", seed)) if value is not None}
    return tuple(with_fields(value, **changes) for value in values)


def _plain_target(target: Any) -> Any:
    """The target with arrays and tensors of class indices as plain numbers."""
    return target.tolist() if hasattr(target, "tolist") else target


_BY_CHANCE = (
    "the network draws random numbers even in evaluation mode, so its scores and this map are others each time: look "
    "for dropout called with training=True"
)


class _MixedTargets(Exception):  # noqa: N818 (no error, and nobody sees it)
    """Targets of a group are of several kinds, such as a class and a contrast, which no pass can have together."""


def _explained_together(passes: Passes, group: list[Prepared], order: Order) -> Iterator[Attribution | Failure]:
    """The results of pictures that share their passes; those that cannot, or one that breaks them, are run alone."""
    try:
        yield from _attributions(passes, group, order)
    except (NonFiniteError, _MixedTargets) as error:
        if len(group) == 1 and isinstance(error, NonFiniteError):
            yield Failure(group[0].place, group[0].picture.name, error)
            return
        for one in group:
            yield from _explained_together(passes, [one], order)


def _attributions(passes: Passes, group: list[Prepared], order: Order) -> list[Attribution]:
    """All results of a group, picture by picture, target by target, method by method."""
    pixels = torch.cat([ready.pixels for ready in group]).to(passes.device)
    wants = order.wants(passes.classifier.layer)
    found: list[list[Attribution]] = [[] for _ in group]
    chance = torch.get_rng_state()
    with passes.shared(pixels, gradients=wants.gradients, layers=wants.layers) as scores:
        if not torch.equal(chance, torch.get_rng_state()) and _answers_by_chance(passes, pixels[:1]):
            group = [replace(ready, warnings=(*ready.warnings, _BY_CHANCE)) for ready in group]
        for target in _targets(group, scores, passes.classifier, order):
            for method in order.methods:
                before, start = passes.count, time.perf_counter()
                maps = method(passes, pixels, target)
                cost = _share(passes.count - before, len(group))
                seconds, ran = (time.perf_counter() - start) / len(group), passes.ran()
                for row, ready in enumerate(group):
                    about = About(passes, scores, target, method, cost, seconds, ran)
                    found[row].append(attribution_of(about, maps, row, ready))
    return [result for results in found for result in results]


def _answers_by_chance(passes: Passes, pixels: torch.Tensor) -> bool:
    """Whether the network, which drew random numbers, gives the same picture other scores each time."""
    return not torch.equal(passes.scores(pixels), passes.scores(pixels))


def _targets(group: list[Prepared], scores: Scores, classifier: Classifier, order: Order) -> list[Target]:
    """The targets, one value a picture each; several where the strongest classes are wanted."""
    if not isinstance(order.target, list):
        return resolve(cast(Wanted, order.target), scores, classifier.labels)
    each = [
        resolve(order.target_of(ready.place), scores[row : row + 1], classifier.labels)
        for row, ready in enumerate(group)
    ]
    if len({(len(targets), targets[0].against is None) for targets in each}) != 1:
        raise _MixedTargets
    return [Target.join(list(targets)) for targets in zip(*each, strict=True)]


def _share(count: Count, pictures: int) -> Count:
    return Count(count.forward // pictures, count.backward // pictures)
