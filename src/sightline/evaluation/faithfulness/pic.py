"""PIC: how much of the answer is back for how much information about the picture (SIC and AIC curves).

    known    `start` of the pixels at random and, for each threshold t, those at or above the map's (1 − t)-quantile
    x_t      the picture interpolated between the known pixels; x_0 from those at random alone
    across   (bytes(x_t) − bytes(x_0)) / (bytes(x) − bytes(x_0)), cut to 0 … 1; bytes of the lossless WebP file
    up       (f(x_t) − f(x_0)) / (f(x) − f(x_0)), cut to 0 … 1, and never less than at a smaller t
    value    area under the points, with (0, 0) and (1, 1), straight lines between

A. Kapishnikov, T. Bolukbasi, F. Viégas and M. Terry, "XRAI: Better Attributions Through Regions", ICCV 2019, there the
softmax information curve (`curve=sic`, f the probability of the target) and the accuracy information curve
(`curve=aic`, f = 1 where it is the top class), with the details of the authors' code, `saliency.metrics.pic`, which
takes the median over pictures. It reads the curve at 1000 places, which moves the area by less than 0.001, and leaves
out a picture whose f is below 0.8 (a warning here), or whose x_0 is no simpler than x or answers no worse: then there
is no curve, and every map of this picture gets 0, with a warning. Bytes are of the picture as the network was given it.
Higher is better. Many equal values of the map (0 in most of it) come back all at once. Guarantees: between 0 and 1; any
increasing function of the map gives the same value. Needs SciPy (with scikit-image). Costs one forward pass a threshold
and two more; cutting the pictures into triangles takes longer, up to some seconds for the scattered pixels of a noisy
map.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "pic(thresholds=(0.01, 0.05, 0.1, 0.3), seed=1)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.evaluation.base import FLAT, Curve, Metric, MetricTraits, Question, Value, is_flat
from sightline.evaluation.faithfulness.information import interpolated_at_once, known_at_random, sizes
from sightline.evaluation.faithfulness.scoring import right, scored
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range, Scores, Seed

_SURE = 0.8
_NO_CURVE = (
    "with next to nothing of the picture known it is no simpler, or the network answers no worse, than with all of it: "
    "there is no curve, every map of this picture gets 0, and the authors leave such pictures out"
)


@dataclass(frozen=True, kw_only=True)
class Pic(Metric):
    """How fast the answer comes back as information about the picture does."""

    curve: Annotated[Literal["sic", "aic"], Doc("follow the probability, or whether the target is the top class")] = (
        "sic"
    )
    thresholds: Annotated[tuple[float, ...], Range(1e-4, 0.9999), Doc("shares of the pixels shown, top first")] = (
        0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.13, 0.21, 0.34, 0.5, 0.75,
    )  # fmt: skip
    start: Annotated[float, Range(0, 0.5), Doc("share of the pixels known from the start, at random")] = 0.01
    seed: Seed = 0

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="0 to 1",
        cost="1 F a threshold + 2 F",
        paper="Kapishnikov, Bolukbasi, Viégas, Terry, XRAI: Better Attributions Through Regions, ICCV 2019",
        axes=("information, of the whole picture", "answer, of the whole picture"),
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        low, high, _ = passes.classifier.values.like(question.pixels)
        height, width = question.map.shape
        unit = ((question.pixels - low) / (high - low)).clamp(0, 1)[0].permute(1, 2, 0)
        picture = (unit * 255).round().to(torch.uint8).cpu().numpy()
        known = known_at_random(height, width, self.start, self.seed)
        quantiles = np.quantile(question.map, 1 - np.array(sorted(self.thresholds)))
        shown = interpolated_at_once(picture, [known, *(known | (question.map >= quantile) for quantile in quantiles)])
        levels = torch.from_numpy(np.stack([*shown, picture])).permute(0, 3, 1, 2).to(question.pixels)
        answers = self._answers(passes, question, low + levels / 255 * (high - low))
        details = {"start": float(answers[0]), "whole": float(answers[-1])}
        across, up = _normal(sizes([*shown, picture])), np.maximum.accumulate(_normal(answers))
        if np.isnan(across).any() or np.isnan(up).any():
            return Value(value=0.0, details=details, warnings=(_NO_CURVE,))
        order = np.lexsort((up, across))
        curve = Curve(np.array([0, *across[order], 1.0]), np.array([0, *up[order], 1.0]))
        warnings = [FLAT] if is_flat(question.map) else []
        if answers[-1] < _SURE:
            warnings.append(
                f"the answer to the whole picture is {answers[-1]:.2g}: the authors keep those above {_SURE}"
            )
        area = float((np.diff(curve.x) * (curve.y[1:] + curve.y[:-1]) / 2).sum())
        return Value(value=area, curve=curve, details=details, warnings=tuple(warnings))

    def _answers(self, passes: Passes, question: Question, pictures: Pixels) -> NDArray[np.float64]:
        scores: Scores = passes.scores(pictures)
        found = scored(passes, scores, question, "probability") if self.curve == "sic" else right(scores, question)
        return found.numpy()


def _normal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What lies between, 0 at the first and 1 at the last, cut to that; NaN where the last is not above the first."""
    if values[-1] <= values[0]:
        return np.full(len(values) - 2, np.nan)
    return ((values[1:-1] - values[0]) / (values[-1] - values[0])).clip(0, 1)
