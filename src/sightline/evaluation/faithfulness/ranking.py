"""Exchanging the pixels of one picture for those of another in the order of a map: what deletion and insertion share.

    order   pixels by falling value of the map; of equal values the one that comes last in reading order goes first
    step    p = ⌈n / steps⌉ pixels of n, all channels at once; T = ⌈n / p⌉ steps, the last one may be shorter
    h_i     probability of the target after i steps, i = 0 … T
    value   (Σ h_i − h_0/2 − h_T/2) / T, the area under the h_i by the trapezoid rule on an axis from 0 to 1

V. Petsiuk, A. Das and K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
under "Evaluation Metrics", and the authors' code. There, and here, every step counts the same, also a shorter last
one. For a contrast A-vs-B the probability is that of A given that it is A or B.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.evaluation.base import FLAT, Curve, Question, Value, is_flat
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Ranked
from sightline.percent import percent
from sightline.types import Doc, Pixels, Range

Steps = Annotated[
    int, Range(1, 1 << 24), Doc("steps at most, each of ⌈pixels / steps⌉ pixels; RISE: 224 of 224 pixels")
]
FAINT = 0.05


def rank_of(map: NDArray[np.float32]) -> torch.Tensor:
    """`1 h w` int64: the place of each pixel in the order, from 0."""
    order = np.argsort(map, axis=None, kind="stable")[::-1]
    rank = np.empty(map.size, np.int64)
    rank[order] = np.arange(map.size)
    return torch.from_numpy(rank.reshape(1, *map.shape))


def counts_of(pixels: int, steps: int) -> torch.Tensor:
    """`T + 1` int64: how many pixels are exchanged at each point of the curve, from none to all."""
    step = -(-pixels // steps)
    return torch.tensor([*range(0, pixels, step), pixels])


def probabilities(passes: Passes, start: Pixels, end: Pixels, question: Question, counts: torch.Tensor) -> torch.Tensor:
    """`m` float64: the probability of the target where so many pixels of `start` show what `end` shows."""
    scores = passes.perturbed(start, Ranked(rank_of(question.map).to(start.device), counts, end))[:, 0]
    return passes.probability(scores, question.target.tiled(len(scores))).double().cpu()


def exchanged(passes: Passes, question: Question, base: Pixels, steps: int, *, away: bool) -> Value:
    """The value of the whole way from the picture to `base`, pixels taken away, or from `base` back to the picture."""
    counts, clean = counts_of(question.map.size, steps), clean_probability(passes, question)
    if away:
        heights = torch.cat([clean, probabilities(passes, question.pixels, base, question, counts[1:])])
    else:
        heights = torch.cat([probabilities(passes, base, question.pixels, question, counts[:-1]), clean])
    return value_of(heights, question, float(clean))


def clean_probability(passes: Passes, question: Question) -> torch.Tensor:
    """`1` float64: the probability of the target in the picture itself; no pass where it is shared."""
    return passes.probability(passes.scores(question.pixels), question.target).double().cpu()


def area(heights: torch.Tensor) -> float:
    """The area under equally spaced points from 0 to 1, by the trapezoid rule."""
    return float((heights.sum() - (heights[0] + heights[-1]) / 2) / (len(heights) - 1))


def value_of(heights: torch.Tensor, question: Question, clean: float) -> Value:
    """The value of a curve, and what must be known of it."""
    steps = len(heights) - 1
    return Value(
        value=area(heights),
        curve=Curve(np.linspace(0, 1, steps + 1), heights.numpy()),
        details={"steps": steps, "tied": tied(question)},
        warnings=warnings_of(question, clean),
    )


def tied(question: Question) -> float:
    """The share of pixels whose value another one has too, whose order is that of the rule for ties."""
    return 1 - len(np.unique(question.map)) / question.map.size


def warnings_of(question: Question, clean: float) -> tuple[str, ...]:
    """What must be known of what goes by the order of a map, `clean` being the target's probability in the picture."""
    warnings = [FLAT] if is_flat(question.map) else []
    if clean < FAINT:
        warnings.append(
            f"the network gives the target {percent(clean)} in the whole picture: there is little to lose or to win, "
            "so the value says little about the map"
        )
    return tuple(warnings)
