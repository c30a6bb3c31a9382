"""Rong et al. (2022): do the two orders of hiding rank methods alike, and does imputation make them agree more?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import sightline
from sightline.attribution.result import Attribution
from sightline.models.classifier import Classifier

METHODS = (
    "gradient", "smooth-grad(samples=16)", "smooth-grad-squared(samples=16)", "var-grad(samples=16)",
    "integrated-gradients(steps=16)", "guided-backpropagation", "input-x-gradient", "grad-cam", "layer-cam",
    "grad-cam-plus-plus",
)  # fmt: skip
STEPS = 10
ORDERS = ("most-relevant-first", "least-relevant-first")


def measure(
    classifier: Classifier,
    maps: Callable[[str], Sequence[Attribution]],
    say: Callable[[str], None],
    _: Sequence[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """For each way of hiding and each order, each method's value on each photograph, more being better."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {
        way: {order: {} for order in ORDERS} for way in ("imputed", "mean colour")
    }
    for method in METHODS:
        given = list(maps(method))
        turned = [replace(one, map=-one.map) for one in given]
        for order in ORDERS:
            found["imputed"][order][method] = _values(classifier, given, f"road(order={order})")
        # Deletion of the most relevant is good where it is low, of the least relevant where it is high.
        deletion = f"deletion(steps={STEPS})"
        found["mean colour"][ORDERS[0]][method] = [-value for value in _values(classifier, given, deletion)]
        found["mean colour"][ORDERS[1]][method] = _values(classifier, turned, deletion)
        say(f"  {method}")
    yield found


def _values(classifier: Classifier, given: list[Attribution], metric: str) -> list[float]:
    judged = sightline.evaluate(classifier, given, metric)
    return [one.value for one in (judged if isinstance(judged, list) else [judged])]


def agreement(values: dict[str, dict[str, list[float]]]) -> tuple[float, list[float]]:
    """The rank correlation of the methods' means by the two orders, and the same on each photograph alone."""
    first, second = (np.array([values[order][method] for method in METHODS]) for order in ORDERS)
    return _correlation(first.mean(1), second.mean(1)), [
        _correlation(one, other) for one, other in zip(first.T, second.T, strict=True)
    ]


def _correlation(one: Any, other: Any) -> float:
    from sightline.evaluation.similarity import similarity

    return similarity(one[None], other[None], "spearman")
