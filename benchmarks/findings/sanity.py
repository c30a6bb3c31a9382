"""Adebayo et al. (2018): whose map stays when the network forgets what it has learnt?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import sightline
from sightline.attribution.result import Attribution
from sightline.evaluation.again import Given, maps_of
from sightline.evaluation.base import Metric, Question, Value
from sightline.evaluation.sanity.cascade import groups, redrawn
from sightline.evaluation.sanity.parameter_randomisation import ParameterRandomisation
from sightline.evaluation.similarity import Similarity, similarities
from sightline.models.classifier import Classifier
from sightline.passes.passes import Passes

METHODS = {
    "gradient": "depends",
    "smooth-grad(samples=16)": "depends",
    "grad-cam": "depends",
    "input-x-gradient": "keeps the outline of the picture",
    "integrated-gradients(steps=16)": "keeps the outline of the picture",
    "guided-backpropagation": "hardly depends on the upper layers",
    "guided-grad-cam": "hardly depends on the upper layers",
}
"""What their section 4 says of each method."""

STAGES = 8
SIMILARITIES: tuple[Similarity, ...] = ("ssim", "absolute-spearman", "spearman", "hog")


_CLEAR = 0.1
"""Similarities further apart than this are told apart."""


def outcome(method: str, curves: dict[str, dict[str, list[float]]]) -> str:
    """Whether the claim comes out, from the means over the photographs."""
    own, plain, claim = curves[method], curves["gradient"], METHODS[method]
    if claim == "depends":
        kept = max(own["ssim"][-1], own["absolute-spearman"][-1])
        return "as claimed" if kept < 0.5 else "**it keeps much**"
    if claim.startswith("keeps"):
        more = own["absolute-spearman"][-1] - plain["absolute-spearman"][-1]
        return "as claimed" if more > _CLEAR else "**no clear difference to the gradient**"
    more = own["ssim"][0] - plain["ssim"][0]
    if more <= _CLEAR:
        return "**no clear difference to the gradient**"
    if own["ssim"][0] >= 0.5:
        return "as claimed: it hardly notices the first stage"
    return "less than claimed, more than the gradient"


@dataclass(frozen=True, kw_only=True)
class AllSimilarities(Metric):
    """`parameter-randomisation` from the scores down, by all four similarities after every stage."""

    traits = ParameterRandomisation.traits

    def measure(self, passes: Passes, question: Question) -> Value:
        each = groups(passes, question, "top-down", STAGES)
        with redrawn(passes, each, 0, independent=False) as others:
            maps = [maps_of(other, question, Given(question.pixels))[0].numpy() for other in others]
        found = {kind: similarities(question.map, maps, kind) for kind in SIMILARITIES}
        details = {f"{kind} {stage}": value for kind, values in found.items() for stage, value in enumerate(values)}
        return Value(value=float(np.mean(found["ssim"])), details=details)


def measure(
    classifier: Classifier,
    maps: Callable[[str], Sequence[Attribution]],
    say: Callable[[str], None],
    only: Sequence[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """For each method (of `only`) and similarity the curve over the stages from the scores down, of each photograph."""
    for method in only or METHODS:
        judged = sightline.evaluate(classifier, list(maps(method)), [AllSimilarities()])
        each = judged if isinstance(judged, list) else [judged]
        curves = {
            kind: [[one.details[f"{kind} {stage}"] for one in each] for stage in range(STAGES)] for kind in SIMILARITIES
        }
        say(f"  {method}: ssim {np.mean(curves['ssim'][0]):.2f} … {np.mean(curves['ssim'][-1]):.2f}")
        yield {method: curves}
