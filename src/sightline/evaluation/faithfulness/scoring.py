"""What a metric follows while the picture is changed: the probability of the target, or the network's own score.

For a contrast A-vs-B the probability is that of A given that it is A or B, and the score the difference of the two.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import torch

from sightline.errors import UsageError
from sightline.evaluation.base import Question
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation
from sightline.types import Doc, Pixels, Scores

What: TypeAlias = Literal["probability", "logit"]
Score: TypeAlias = Annotated[What, Doc("what is followed: the target's probability, or the network's own score")]


def scored(passes: Passes, scores: Scores, question: Question, what: What, *, fine: bool = False) -> torch.Tensor:
    """What rows of scores `n k` say of the target: `n` float64.

    Args:
        passes: that gave the scores.
        scores: `n k`.
        question: with the target.
        what: is followed.
        fine: take probabilities in float64: next to 1, float32 steps by 6e-8, which is more than small parts move them.
    """
    target = question.target.tiled(len(scores))
    if what == "logit":
        return target.score(scores).double().cpu()
    exact = scores.double() if fine and scores.device.type != "mps" else scores  # Apple's devices have no float64
    return passes.probability(exact, target).double().cpu()


def clean_score(passes: Passes, question: Question, what: What, *, fine: bool = False) -> float:
    """The same of the picture itself; no pass where it is shared."""
    return float(scored(passes, passes.scores(question.pixels), question, what, fine=fine))


def perturbed_scores(
    passes: Passes, pixels: Pixels, perturbation: Perturbation, question: Question, what: What, *, fine: bool = False
) -> torch.Tensor:
    """The same of n versions of a picture: `n` float64."""
    return scored(passes, passes.perturbed(pixels, perturbation)[:, 0], question, what, fine=fine)


def right(scores: Scores, question: Question) -> torch.Tensor:
    """1 in rows of scores `n k` whose top class is the target (of A-vs-B: where A is above B), else 0: `n` float64."""
    if question.target.against is not None:
        return (question.target.tiled(len(scores)).score(scores) > 0).double().cpu()
    return (scores.argmax(1) == question.target.index.to(scores.device)).double().cpu()


def to_divide_by(whole: float, metric: str) -> float:
    """The target's probability in the picture, of which shares are told.

    Raises:
        UsageError: it is 0.
    """
    if whole == 0:
        raise UsageError(f"{metric} divides by the target's probability, which is 0: judge a likelier target")
    return whole
