"""ROAD: hide pixels in the order of the map so that the hole hardly shows, and watch the probability.

    s(M, q)    probability of the target with the q % most important pixels hidden, M (most relevant first)
    s(L, q)    with the q % least important pixels hidden, L (least relevant first); s(x) in the picture itself
    value      mean over the q of (s(L, q) − s(M, q)) / 2; by one order alone of s(x) − s(M, q) or of s(L, q) − s(x)

Hidden pixels show the weighted mean of their neighbours, solved for all of them at once, and a little noise, so that
the network cannot tell by the mask alone what was hidden (`sightline.images.imputation`). Of n pixels ⌊n·q/100⌋ are
hidden, all channels at once; the order, and that of pixels of equal value, is that of deletion and insertion.

Y. Rong, T. Leemann, V. Borisov, G. Kasneci and E. Kasneci, "A Consistent and Efficient Evaluation Strategy for
Attribution Methods", ICML 2022, arXiv 2202.00449, and the authors' code. Theirs is a curve of the accuracy for each
order over a whole test set: average those of `score=accuracy` over many pictures. Here one pattern of noise is used for
all q, its σ a part of the range of colours as in the authors' experiments (they impute before they normalise).
The combined value is that of pytorch-grad-cam's `ROADCombined`, which also hides every pixel that equals the last one
hidden (nearly all of a map that is mostly 0) and by its rounding often one more, which can move a value by 0.001, and
whose percentile p hides 100 − p %. Quantus' `ROAD` knows only the first order and says whether the target is the top
class, for 1, 3, … 99 %, as one curve over its first batch. Both add their noise in the network's units, and the authors
break ties by noise of 0.0001 on the map.
Guarantees: the combined value lies from −0.5 to 0.5, and a map that is turned round, −map, gives its negative where no
two pixels are equal; a probability that never moves gives 0; k·map with k > 0 gives the same value.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "road(percentages=(10, 30, 50, 70, 90))")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch

from sightline.evaluation.base import Curve, Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.ranking import rank_of, tied, warnings_of
from sightline.evaluation.faithfulness.scoring import right, scored
from sightline.images.imputation import impute
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation
from sightline.types import Doc, Pixels, Range, Scores, Seed

MOST, LEAST = "most-relevant-first", "least-relevant-first"


@dataclass(frozen=True, eq=False)
class Imputed(Perturbation):
    """Pixels hidden by their place in an order, and imputed from the others.

    Attributes:
        rank: `b h w` int64, the place of each pixel in the order, from 0.
        bounds: `n 2` int64: a version hides the places from the first (included) to the second (excluded).
        noise: `c h w`, what is added where a pixel is imputed.
    """

    rank: torch.Tensor
    bounds: torch.Tensor
    noise: torch.Tensor

    def __len__(self) -> int:
        return len(self.bounds)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        first, end = self.bounds[rows].to(self.rank.device)[..., None, None, None].unbind(1)
        hidden = ((self.rank >= first) & (self.rank < end)).flatten(0, 1)
        filled = impute(pixels.repeat(len(first), 1, 1, 1), hidden)
        return torch.where(hidden[:, None], filled + self.noise.to(filled), filled)


@dataclass(frozen=True, kw_only=True)
class Road(Metric):
    """How much more the probability loses with the most important pixels than with the least, without visible holes."""

    percentages: Annotated[tuple[float, ...], Range(0.01, 99.99), Doc("how many of the pixels are hidden, in %")] = (
        10, 20, 30, 40, 50, 60, 70, 80, 90,
    )  # fmt: skip
    order: Annotated[
        Literal["combined", "most-relevant-first", "least-relevant-first"],
        Doc("half the difference of the two orders, or what one of them loses or wins"),
    ] = "combined"
    score: Annotated[
        Literal["probability", "accuracy"], Doc("the target's probability, or 1 where it is the top class")
    ] = "probability"
    noise: Annotated[float, Range(0, 1), Doc("standard deviation of the noise, as a part of the range")] = 0.01
    seed: Seed = 0

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="-0.5 to 0.5 (by one order -1 to 1)",
        cost="2 F a percentage (by one order 1 F) + 1 F",
        paper="Rong, Leemann, Borisov, Kasneci, Kasneci, A Consistent and Efficient Evaluation Strategy for "
        "Attribution Methods, ICML 2022",
        axes=("share of the picture hidden", "difference of the orders, halved"),
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        whole = passes.scores(question.pixels)
        clean = float(self._judged(passes, question, whole))
        curves = self._curves(passes, question)
        gains = {MOST: lambda heights: clean - heights, LEAST: lambda heights: heights - clean}
        heights = torch.stack([gains[order](curve) for order, curve in curves.items()]).mean(0)
        shares = sorted(self.percentages)
        details = {
            f"{order} {share:g}%": float(height)
            for order, curve in curves.items()
            for share, height in zip(shares, curve, strict=True)
        }
        return Value(
            value=float(heights.mean()),
            curve=Curve(np.array([0, *shares]) / 100, np.array([0, *heights.tolist()])),
            details={"clean": clean, "tied": tied(question), **details},
            warnings=warnings_of(question, float(passes.probability(whole, question.target))),
        )

    def _curves(self, passes: Passes, question: Question) -> dict[str, torch.Tensor]:
        """Each order's score for every share of hidden pixels, float64."""
        size, pixels = question.map.size, question.pixels
        counts = torch.tensor([int(size * share / 100 + 1e-9) for share in sorted(self.percentages)])
        none, all_of = torch.zeros_like(counts), torch.full_like(counts, size)
        bounds = {MOST: torch.stack([none, counts], 1), LEAST: torch.stack([all_of - counts, all_of], 1)}
        orders = [order for order in bounds if self.order in ("combined", order)]
        low, high, _ = passes.classifier.values.like(pixels)
        noise = torch.randn(pixels.shape[1:], generator=torch.Generator().manual_seed(self.seed)).to(pixels)
        versions = Imputed(
            rank=rank_of(question.map).to(pixels.device),
            bounds=torch.cat([bounds[order] for order in orders]),
            noise=(self.noise * (high - low) * noise)[0],
        )
        scores = passes.perturbed(pixels, versions)[:, 0]
        return dict(zip(orders, self._judged(passes, question, scores).chunk(len(orders)), strict=True))

    def _judged(self, passes: Passes, question: Question, scores: Scores) -> torch.Tensor:
        """What a picture's scores `n k` say of the target: `n` float64."""
        return right(scores, question) if self.score == "accuracy" else scored(passes, scores, question, "probability")
