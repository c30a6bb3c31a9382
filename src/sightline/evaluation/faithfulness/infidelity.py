"""Infidelity: how badly the map foretells what a change of the picture does to the answer.

    value  mean over j of (β · Iⱼᵀ map − (f(x) − f(x − Iⱼ)))², Iⱼ drawn at random       Yeh et al., definition 2.1
    β      Σ (Iᵀ map)(f(x) − f(x − I)) / Σ (Iᵀ map)²  with scale=optimal, 1 with scale=none

    form=square          a square at a random place shows `base`; I is 1 in it: for maps of contributions
    form=noisy-baseline  nothing is left but black plus noise cut to the range, I is the difference: for gradients
    form=noise           I is Gaussian noise: for gradients, near the picture

C.-K. Yeh, C.-Y. Hsieh, A. S. Suggala, D. I. Inouye and P. Ravikumar, "On the (In)fidelity and Sensitivity of
Explanations", NeurIPS 2019, arXiv 1901.09392, and the authors' code: its squares have sides from 1/28 to 10/28 of a
digit's (all of them at all places, here a sample), its noise a σ of 0.2 of the range, and each map gets the scale β
that suits it best. captum's `infidelity` has 10 changes, whatever the caller makes of them, and no β
(`normalize=False`). Quantus' `Infidelity` blackens patches of 4 pixels one after the other and does not take the
earlier ones back. A change acts on all channels of a pixel, weighted alike by the map. Lower is better; the unit is
that of the score, squared: compare maps of one picture, and with a flat map, which foretells that larger squares hurt
more. In the details stand β, `unscaled` (β = 1) and `unexplained`, the value over the mean of (f(x) − f(x − I))²: 1 is
what a map of zeros gets. Their β may be below 0, for a map that foretells the reverse; then so may this one, with a
warning. Guarantees: at least 0; with the best β `unexplained` is at most 1, and k·map gives the same value, −map too; a
linear network and (x − base)·w give 0 on squares. Costs one forward pass a change.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "infidelity(samples=64)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.correlation import STILL
from sightline.evaluation.faithfulness.scoring import Score, clean_score, perturbed_scores
from sightline.evaluation.faithfulness.shifts import Added, NoisyBaseline, box_sums, squares
from sightline.images.fills import Black, Fill
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation, Windows
from sightline.types import Doc, Range, Seed

_REVERSED = "the scale that suits the map best is below 0: it foretells the reverse of what the network does"


@dataclass(frozen=True, kw_only=True)
class Infidelity(Metric):
    """How badly the map foretells what random changes of the picture do to the answer."""

    form: Annotated[Literal["square", "noisy-baseline", "noise"], Doc("what is changed")] = "square"
    scale: Annotated[Literal["optimal", "none"], Doc("whether the map is stretched to suit best")] = "optimal"
    samples: Annotated[int, Range(1, 1 << 20), Doc("changes")] = 256
    sides: Annotated[tuple[float, float], Range(0.001, 1), Doc("of squares: from, to; shares of the shorter side")] = (
        1 / 28, 10 / 28,
    )  # fmt: skip
    sigma: Annotated[float, Range(1e-6, 10), Doc("of noise, as a part of the range")] = 0.2
    base: Annotated[Fill, Doc("what squares show")] = Black()
    score: Score = "logit"
    seed: Seed = 0

    traits = MetricTraits(
        family="faithfulness",
        better="lower",
        range="at least 0",
        cost="1 F a change + 1 F",
        paper="Yeh, Hsieh, Suggala, Inouye, Ravikumar, On the (In)fidelity and Sensitivity of Explanations, "
        "NeurIPS 2019",
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        changes, said = self._changes(passes, question)
        scores = perturbed_scores(passes, question.pixels, changes, question, self.score).numpy()
        seen = clean_score(passes, question, self.score) - scores
        energy, moved = float(said @ said), float((seen**2).mean())
        best = float(said @ seen) / energy if energy > 0 else 0.0
        beta = best if self.scale == "optimal" else 1.0
        found = float(((beta * said - seen) ** 2).mean())
        warnings = (_REVERSED,) if self.scale == "optimal" and best < 0 else ()
        details = {"beta": best, "unscaled": float(((said - seen) ** 2).mean())}
        if np.ptp(seen) <= STILL and moved <= STILL**2:
            warning = "the network's answer hardly moves, whatever is changed: there is nothing to foretell"
            return Value(value=found, details=details, warnings=(warning,))
        return Value(value=found, details=details | {"unexplained": found / moved}, warnings=warnings)

    def _changes(self, passes: Passes, question: Question) -> tuple[Perturbation, NDArray[np.float64]]:
        """The changed pictures, and what the map foretells of each."""
        pixels, values, (height, width) = question.pixels, passes.classifier.values, question.map.shape
        if self.form == "square":
            boxes = squares(height, width, self.samples, self.sides, self.seed)
            return Windows(boxes, self.base.make(pixels, values)), box_sums(question.map, boxes)
        low, high, _ = values.like(pixels)
        kind = Added if self.form == "noise" else NoisyBaseline
        noise = kind(self.samples, self.sigma, low, high - low, self.seed)
        return noise, noise.sums(pixels, question.map)
