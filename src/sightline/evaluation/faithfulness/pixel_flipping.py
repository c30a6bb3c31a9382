"""Pixel flipping: turn the pixels over, the most important first, and follow the classifier's answer.

    f_k    what the network says of the target with the first k·p pixels of the order turned over
    value  area under f_0 … f_T on an axis from 0 to 1; order, p, T and area as for `deletion`

S. Bach, A. Binder, G. Montavon, F. Klauschen, K.-R. Müller and W. Samek, "On Pixel-Wise Explanations for Non-Linear
Classifier Decisions by Layer-Wise Relevance Propagation", PLOS ONE 2015, section "Pixel-flipping": a black pixel of a
digit becomes white and a white one black; here every value goes to the end of the range that is farther from it
(`base=max-distance`), all channels of a pixel at once. They follow the classifier's real-valued answer: `score=logit`.
Lower is better. Quantus' `PixelFlipping` gives each step of its curve the width 1 (its value is near T times this one)
and has no point for the picture itself; it replaces by the smallest value of the picture and flips channels one by
one, the first channel of a pixel first. With `base=mean`, 224 steps and the probability this is `deletion`.
Scattered single pixels spoil a picture faster than a hole over the object does: even a random map may win against one
that shows the object, so compare maps of like grain, or use `road`.
Guarantees: an answer that is always the same gives that answer; the map counts by its order only. Costs one forward
pass a step.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "pixel-flipping(steps=28, score=logit)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.ranking import Steps, clean_probability, counts_of, rank_of, value_of
from sightline.evaluation.faithfulness.scoring import Score, clean_score, perturbed_scores
from sightline.images.fills import Fill, MaxDistance
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Ranked
from sightline.types import Doc


@dataclass(frozen=True, kw_only=True)
class PixelFlipping(Metric):
    """How fast the answer changes when the most important pixels are turned over."""

    steps: Steps = 224
    base: Annotated[Fill, Doc("what the pixels turned over show")] = MaxDistance()
    score: Score = "probability"

    traits = MetricTraits(
        family="faithfulness",
        better="lower",
        range="0 to 1 (any for logits)",
        cost="1 F a step + 1 F",
        paper="Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance "
        "Propagation, PLOS ONE 2015",
        axes=("share of the picture turned over", "answer"),
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        pixels, counts = question.pixels, counts_of(question.map.size, self.steps)
        base = self.base.make(pixels, passes.classifier.values)
        versions = Ranked(rank_of(question.map).to(pixels.device), counts[1:], base)
        rest = perturbed_scores(passes, pixels, versions, question, self.score)
        clean = torch.tensor([clean_score(passes, question, self.score)], dtype=torch.float64)
        return value_of(torch.cat([clean, rest]), question, float(clean_probability(passes, question)))
