"""From what a method found for a batch to one finished result a picture."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from sightline.attribution.base import Maps, Method
from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
from sightline.attribution.result import Attribution, Explained, Origin, Prediction
from sightline.errors import ModelError
from sightline.models.heads import gives_probabilities
from sightline.models.intake import Prepared
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.pictures.scale import findings
from sightline.types import Count, Scores

_MOST_PREDICTIONS = 5
_INCOMPLETE = 0.01
_UNSURE = 0.1
_SATURATED = 0.9999
_BARELY_MOVED = 0.1  # in probability
_ROUNDED = 0.01
"""How far beyond 0 and 1 a quantised network may round its probabilities."""
_OF_CLASSES = ("labels", "classes")
"""Arrays that hold class indices."""


@dataclass(frozen=True, eq=False)
class About:
    """What all pictures of a group have in common for one target and one method."""

    passes: Passes
    scores: Scores
    target: Target
    method: Method
    cost: Count
    seconds: float
    runtime: str


def attribution_of(about: About, maps: Maps, row: int, ready: Prepared) -> Attribution:
    """The finished result of one picture of the batch.

    Raises:
        ModelError: the scores were declared probabilities, and are none.
    """
    height, width = ready.frame.input
    values = maps.at_pixels(height, width)[row].cpu().numpy().astype(np.float32)
    channels = maps.values[row].float().cpu().numpy() if maps.values.shape[1:] == ready.pixels.shape[1:] else None
    numbers = {name: float(value[row]) for name, value in maps.numbers.items()}
    explained_target = explained_of(about.passes, about.scores, about.target, row)
    said = [*maps.warnings, *(maps.cautions[row] if maps.cautions else ())]
    return Attribution(
        map=values,
        channels=channels if ready.pixels.shape[1] > 1 else None,
        picture=ready.picture,
        pixels=ready.pixels,
        frame=ready.frame,
        method=about.method,
        target=explained_target,
        predictions=_predictions(about, row),
        layer=maps.layer,
        passes=about.cost + Count(forward=1),
        seconds=about.seconds,
        warnings=_warnings(about, [*said, *ready.warnings], values, numbers, explained_target),
        numbers=numbers,
        arrays={name: value[row].cpu().numpy() for name, value in maps.arrays.items()},
        names=_names(about, maps, row),
        origin=_origin(about.passes, about.runtime),
    )


def _placed_beforehand(method: Method) -> bool:
    return isinstance(method, IntegratedGradients) and method.rule != "adaptive"


def _warnings(
    about: About, said: list[str], values: NDArray[np.float32], numbers: Mapping[str, float], target: Explained
) -> tuple[str, ...]:
    found = [*findings(values), *said, *about.passes.classifier.notes]
    if _may_be_probabilities(about):
        found.append(
            "the scores lie between 0 and 1 and were read as logits; if they are probabilities, declare "
            "head='probabilities' or head='independent-probabilities'"
        )
    begins = about.method.begins_at
    error, difference = numbers.get("completeness_error"), numbers.get("score_difference")
    if error is not None and difference is not None and abs(error) > _INCOMPLETE * abs(difference):
        found.append(
            f"the map does not add up: its sum is off by {error:+.4g} of a difference of scores of {difference:.4g} "
            f"({abs(error) / max(abs(difference), 1e-30):.1%}): give it more steps or samples"
            + (", or rule=adaptive" if _placed_beforehand(about.method) else "")
            + (f", or another baseline than {begins}" if abs(error) > abs(difference) and begins is not None else "")
        )
    unsure = numbers.get("relative_error", 0.0)
    if unsure > _UNSURE:
        found.append(
            f"the map is not sure: the standard error of its values is {unsure:.0%} of their range on average, and "
            "differences of that size are chance: raise samples (four times as many have half the error)"
        )
    saturates = getattr(about.method, "score", None) in ("drop", "complement")
    if saturates and target.probability > _SATURATED and np.ptp(values) < _BARELY_MOVED:
        found.append("the probability is so near to 1 that hiding parts may not move it: try score=logit")
    if about.passes.precision == "fast" and about.method.traits.family == "mask":
        found.append(
            "made with precision=fast: masks that are optimised keep their outline in bfloat16, but not the order of "
            "their values, pixel by pixel: use float32 before relying on single pixels"
        )
    return tuple(dict.fromkeys(found))


def explained_of(passes: Passes, scores: Scores, target: Target, row: int = 0) -> Explained:
    """The target of one picture of a batch, in words and numbers.

    Raises:
        ModelError: the scores were declared probabilities, and are none.
    """
    _check_probabilities(passes, scores)
    label, index = passes.classifier.label, int(target.index[row])
    against = None if target.against is None else int(target.against[row])
    return Explained(
        index=index,
        label=label(index) if against is None else f"{label(index)} vs {label(against)}",
        score=float(target.score(scores)[row]),
        probability=float(passes.probability(scores, target)[row]),
        against=against,
    )


def _predictions(about: About, row: int) -> tuple[Prediction, ...]:
    probabilities = about.passes.probabilities(about.scores[row : row + 1])[0]
    best = probabilities.topk(min(_MOST_PREDICTIONS, len(probabilities)))
    label = about.passes.classifier.label
    return tuple(
        Prediction(int(index), label(int(index)), float(probability))
        for index, probability in zip(best.indices, best.values, strict=True)
    )


def _names(about: About, maps: Maps, row: int) -> dict[int, str]:
    told = [maps.arrays[name][row].unique().tolist() for name in _OF_CLASSES if name in maps.arrays]
    return {index: about.passes.classifier.label(index) for some in told for index in some}


def _origin(passes: Passes, runtime: str) -> Origin:
    classifier = passes.classifier
    return Origin(
        classifier=classifier.name,
        weights_sha256=classifier.weights_sha256,
        preparation=dataclasses.asdict(classifier.preparation) if classifier.preparation else None,
        head=passes.head,
        precision=passes.precision,
        numbers="; ".join(passes.numbers) or "float32",
        device=str(passes.device),
        versions=versions(),
        runtime=runtime,
    )


@cache
def versions() -> dict[str, str]:
    """What ran: Sightline, Python, torch, numpy, Pillow."""
    names = ("sightline", "torch", "numpy", "pillow")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}


def _check_probabilities(passes: Passes, scores: Scores) -> None:
    """Refuse logits that were declared probabilities: every number that is made of them would be nonsense."""
    low, high = float(scores.min()), float(scores.max())
    if gives_probabilities(passes.head) and (low < -_ROUNDED or high > 1 + _ROUNDED):
        raise ModelError(
            f"head={passes.head} says that the scores of {passes.classifier.name} are probabilities, and "
            f"they run from {low:.3g} to {high:.3g}: declare head=softmax, or head=sigmoid for independent classes"
        )


def _may_be_probabilities(about: About) -> bool:
    """Nobody declared the head, and the numbers alone cannot tell logits from probabilities."""
    undeclared = about.passes.classifier.head == "auto" and about.passes.head == "softmax"
    return undeclared and bool(((about.scores >= 0) & (about.scores <= 1)).all())
