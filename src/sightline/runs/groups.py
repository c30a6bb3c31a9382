"""Which pictures go through the network together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sightline.errors import PictureError
from sightline.models.classifier import Classifier
from sightline.models.intake import Prepared, prepare
from sightline.passes.passes import Passes
from sightline.runs.order import Failure, Order

_AT_MOST_TOGETHER = 16


def together(
    sources: Sequence[Any], classifier: Classifier, passes: Passes, order: Order
) -> Iterator[list[Prepared] | Failure]:
    """Neighbouring pictures of one size, as many as go through the network together; failures in their place."""
    group, most = list[Prepared](), 1
    for place, source in enumerate(sources):
        try:
            ready = prepare(source, place, classifier)
        except PictureError as error:
            if group:
                yield group
                group = []
            yield Failure(place, error.source, error)
            continue
        if group and (group[0].pixels.shape != ready.pixels.shape or len(group) == most):
            yield group
            group = []
        if not group:
            most = room(passes, ready, order)  # asked late: the pictures before have shown what a pass costs
        group.append(ready)
    if group:
        yield group


def room(passes: Passes, ready: Prepared, order: Order) -> int:
    """How many pictures like this one; the first that a network is shown goes alone, since it tells what one needs."""
    if not passes.knows(ready.pixels):
        return 1
    wants = order.wants(passes.classifier.layer)
    at_once = passes.pictures_at_once(ready.pixels, gradients=wants.gradients, layers=wants.layers)
    return min(_AT_MOST_TOGETHER, at_once)
