"""Sufficiency: is what the map holds most important enough for the network to give the same answer?

    kept(q)  the q % of the pixels with the highest values as they are, the rest as in `base`
    value    mean over the q of p(x) − p(kept(q))

J. DeYoung et al., "ERASER: A Benchmark to Evaluate Rationalized NLP Models", ACL 2020, section 4.2, with their shares
(1, 5, 10, 20 and 50 %), pixels in place of words. Lower is better; below 0 the network is surer of the part than of the
whole. This is a property of one map. The sufficiency of S. Dasgupta, N. Frost and M. Moshkovitz, "Framework for
Evaluating Faithfulness of Local Explanations", ICML 2022, is one of a whole set of pictures (do pictures with near
explanations get the same class?): Quantus' `Sufficiency` is that one, and another number. Guarantees: between −1 and
1; an answer that never moves gives 0; the map counts by its order only, which is that of deletion. Costs one forward
pass a share.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "sufficiency(percentages=(10, 25), base=blur)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch

from sightline.evaluation.base import Curve, Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.ranking import clean_probability, probabilities, tied, warnings_of
from sightline.images.fills import Fill, Mean
from sightline.passes.passes import Passes
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class Sufficiency(Metric):
    """How much probability is missing when only the most important pixels are shown."""

    percentages: Annotated[tuple[float, ...], Range(0.01, 99.99), Doc("how many of the pixels are shown, in %")] = (
        1, 5, 10, 20, 50,
    )  # fmt: skip
    base: Annotated[Fill, Doc("what the other pixels show")] = Mean()

    traits = MetricTraits(
        family="faithfulness",
        better="lower",
        range="-1 to 1",
        cost="1 F a percentage + 1 F",
        paper="DeYoung et al., ERASER: A Benchmark to Evaluate Rationalized NLP Models, ACL 2020",
        axes=("share of the picture shown", "probability missing"),
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        shares = sorted(self.percentages)
        counts = torch.tensor([int(question.map.size * share / 100 + 1e-9) for share in shares])
        base = self.base.make(question.pixels, passes.classifier.values)
        kept = probabilities(passes, base, question.pixels, question, counts)
        clean = float(clean_probability(passes, question))
        missing = clean - kept
        return Value(
            value=float(missing.mean()),
            curve=Curve(np.array(shares) / 100, missing.numpy()),
            details={"clean": clean, "tied": tied(question)},
            warnings=warnings_of(question, clean),
        )
