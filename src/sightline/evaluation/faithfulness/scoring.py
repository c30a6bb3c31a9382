"""What a metric follows while the picture is changed: the probability of the target, or the network's own score.

For a contrast A-vs-B the probability is that of A given that it is A or B, and the score the difference of the two.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import torch

from sightline.evaluation.base import Question
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation
from sightline.types import Doc, Pixels, Scores

What: TypeAlias = Literal["probability", "logit"]
Score: TypeAlias = Annotated[What, Doc("what is followed: the target's probability, or the network's own score")]


def scored(passes: Passes, scores: Scores, question: Question, what: What) -> torch.Tensor:
    """What rows of scores `n k` say of the target: `n` float64."""
    target = question.target.tiled(len(scores))
    found = passes.probability(scores, target) if what == "probability" else target.score(scores)
    return found.double().cpu()


def clean_score(passes: Passes, question: Question, what: What) -> float:
    """The same of the picture itself; no pass where it is shared."""
    return float(scored(passes, passes.scores(question.pixels), question, what))


def perturbed_scores(
    passes: Passes, pixels: Pixels, perturbation: Perturbation, question: Question, what: What
) -> torch.Tensor:
    """The same of n versions of a picture: `n` float64."""
    return scored(passes, passes.perturbed(pixels, perturbation)[:, 0], question, what)
