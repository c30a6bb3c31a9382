"""What a call would cost, before it is made: passes, seconds and memory of every method on one picture.

One picture is run through the network a few times to see its layers and to time its passes; no method is run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from sightline.attribution.base import Method, Needs, Wants
from sightline.attribution.foreseen import Foreseen
from sightline.errors import LayerError, NotSupportedError, UsageError
from sightline.models.catalogue import load
from sightline.models.classifier import Classifier, wrap
from sightline.models.intake import prepare
from sightline.models.targets import Target, Wanted, check_known, resolve
from sightline.passes.passes import Passes
from sightline.passes.runner import Precision
from sightline.runs.explain import Methods, as_methods
from sightline.runs.order import Order
from sightline.runs.pictures import as_sources
from sightline.types import Count, Pixels

_TIMED = 8  # pictures in the batches that are timed, at most


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one method would cost for one picture and one target.

    Attributes:
        method: the frozen value.
        picture: what was planned for.
        passes: forward and backward, the clean pass included that methods asked together share.
        at_most: the method may stop earlier, or what it meets decides: fewer passes are possible, more are not.
        seconds: of the passes, at the speed that was measured; masks and sums come on top, faster engines come off.
        batch: pictures in a pass.
        memory: bytes for the activations of such a pass; weights not included.
    """

    method: Method
    picture: str
    passes: Count
    at_most: bool
    seconds: float
    batch: int
    memory: int

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "method": str(self.method),
            "picture": self.picture,
            "passes": {"forward": self.passes.forward, "backward": self.passes.backward},
            "at_most": self.at_most,
            "seconds": round(self.seconds, 4),
            "batch": self.batch,
            "memory": self.memory,
        }


@dataclass(frozen=True)
class _Pace:
    """Seconds of one picture's pass: forward, back to the pixels, back to the layer that was asked for."""

    forward: float
    backward: float
    short: float


def plan(  # noqa: PLR0913 (all but the first three are keywords, as those of `explain`)
    model: Any,
    picture: Any,
    methods: Methods | None = None,
    *,
    target: Any = "top",
    layer: str | None = None,
    precision: Precision = "float32",
    seed: int | None = None,
    device: str | torch.device | None = None,
    memory: int | None = None,
) -> list[Plan]:
    """What explaining one picture would cost, method by method, each by itself.

    Args:
        model: as `explain` takes it.
        picture: one picture, as `explain` takes it.
        methods: as `explain` takes them.
        target: as `explain` takes it; of several, the plan is for the first.
        layer: for every method that looks at a layer.
        precision: `float32`, or `fast`.
        seed: for every method that draws random numbers.
        device: where to run.
        memory: bytes for activations at a time.

    Raises:
        UsageError: not one picture, an unknown method, field, class or layer.
        NotSupportedError: a method that is not defined for this model, or does not tell what it costs.
    """
    sources, _ = as_sources(picture)
    if len(sources) != 1:
        raise UsageError(f"a plan is for one picture, got {len(sources)}: others of its size cost the same")
    classifier = load(model) if isinstance(model, str) else wrap(model)
    order = Order(
        methods=as_methods(methods, classifier, layer=layer, seed=seed),
        target=target,
        precision=precision,
        device=device,
        memory=memory,
    )
    return planned(classifier, sources[0], order)


def planned(classifier: Classifier, source: Any, order: Order) -> list[Plan]:
    """The plan for one picture of an order.

    Raises:
        UsageError, NotSupportedError: as `plan`.
    """
    plans, refused = plans_and_refusals(classifier, source, order)
    for error in refused.values():
        raise error
    return plans


def plans_and_refusals(
    classifier: Classifier, source: Any, order: Order
) -> tuple[list[Plan], dict[Method, NotSupportedError | UsageError]]:
    """The plan for one picture, and the methods that are not defined for this network or do not tell their cost.

    A method whose settings do not fit the network is among them, too.

    Raises:
        UsageError: as `plan`.
    """
    ready, wanted = prepare(source, 0, classifier), order.target_of(0)
    check_known(wanted, classifier.labels)
    refused: dict[Method, NotSupportedError | UsageError] = {}
    found: list[tuple[Method, Wants, Foreseen]] = []
    with Passes(classifier, precision=order.precision, device=order.device, memory=order.memory) as passes:
        pixels = ready.pixels.to(passes.device)
        target, choice = _target(passes, pixels, wanted), None
        for method in order.methods:
            try:
                method.check(passes)
                choice = _choice(passes, pixels, order) if choice is None else choice
                found.append((method, *_foreseen(passes, pixels, target, method, choice)))
            except (NotSupportedError, UsageError) as error:
                refused[method] = error
        pace = _pace(passes, pixels, target, found) if found else None
        plans = [_plan(passes, pixels, ready.picture.name, pace, one) for one in found] if pace else []
    return plans, refused


def _target(passes: Passes, pixels: Pixels, wanted: Wanted) -> Target:
    return resolve(wanted, passes.scores(pixels), passes.classifier.labels)[0]


def _choice(passes: Passes, pixels: Pixels, order: Order) -> int:
    """How many passes back it takes to choose the layer where no target is given; none once it is known."""
    if passes.classifier.layer or not any(method.traits.needs is Needs.LAYER for method in order.methods):
        return 0
    with passes.shared(pixels, layers=[None]), suppress(LayerError):  # a method that needs one says so itself
        before = passes.count
        passes.layer(pixels, None, None)
        return (passes.count - before).backward
    return 0


def _foreseen(passes: Passes, pixels: Pixels, target: Target, method: Method, choice: int) -> tuple[Wants, Foreseen]:
    wants = Order(methods=(method,)).wants(passes.classifier.layer)
    with passes.shared(pixels, gradients=wants.gradients, layers=wants.layers):
        found = method.foresee(passes, pixels, target)
    if choice * found.untold:
        found = replace(found.and_(short=choice * found.untold), at_most=True)
    return wants, found


def _plan(passes: Passes, pixels: Pixels, name: str, pace: _Pace, one: tuple[Method, Wants, Foreseen]) -> Plan:
    method, wants, found = one
    gradients = found.backward > 0
    layers = () if gradients else wants.layers
    room = passes.pictures_at_once(pixels, gradients=gradients, layers=layers)
    batch = max(1, min(room, found.forward))
    each = passes.bytes_a_picture(pixels, gradients=gradients, layers=layers)
    return Plan(
        method=method,
        picture=name,
        passes=Count(1 + found.forward, found.backward + found.short),
        at_most=found.at_most,
        seconds=(1 + found.forward) * pace.forward + found.backward * pace.backward + found.short * pace.short,
        batch=batch,
        memory=batch * each,
    )


def _pace(passes: Passes, pixels: Pixels, target: Target, found: list[tuple[Method, Wants, Foreseen]]) -> _Pace:
    """What is needed of it, measured after the first passes, which are slower than all others."""
    many = max((one.forward for _, _, one in found), default=0) >= _TIMED
    gradients = any(one.backward for _, _, one in found)
    room = passes.pictures_at_once(pixels, gradients=gradients)
    batch = pixels.expand(min(_TIMED, room) if many else 1, -1, -1, -1)
    forward = _seconds(lambda: passes.scores(batch)) / len(batch)
    back = _seconds(lambda: passes.gradients(batch, target.tiled(len(batch)))) / len(batch) if gradients else forward
    layers = next((wants.layers for _, wants, one in found if one.short and wants.layers), None)
    short = 0.0
    if layers is not None:
        with passes.shared(pixels, layers=layers):
            short = _seconds(lambda: passes.layer(pixels, layers[0], target), times=1)
    return _Pace(forward, max(0.0, back - forward), short)


def _seconds(run: Callable[[], object], times: int = 2) -> float:
    """The shortest of some runs: others have been disturbed."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)
