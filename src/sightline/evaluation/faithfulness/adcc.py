"""ADCC: one number for a map that is enough (average drop), small (complexity) and says the same again (coherency).

    a    the map's positive part, stretched to 0 … 1; x ⊙ a the picture seen through it, as in `shown.py`
    Coh  (Pearson(a, a′) + 1) / 2, a′ made in the same way from the map of x ⊙ a, by the same method and target
    Com  mean of a over the pixels
    AD   average drop, max(0, Y − O) / Y
    value  3 / (1/Coh + 1/(1 − Com) + 1/(1 − AD)), the harmonic mean of the three; 0 where one of them is

S. Poppi, M. Cornia, L. Baraldi and R. Cucchiara, "Revisiting The Evaluation of Class Activation Mapping for
Explainability: A Novel Metric and Experimental Analysis", CVPR Workshops 2021, arXiv 2104.10252. Higher is better. They
average Coh, Com and AD over the pictures and take the harmonic mean of the averages; they are in the details as
`coherency`, `complexity` and `average drop`, and the mean of this value over pictures is another (lower) number. A map
of x ⊙ a that is flat has no correlation: Coh is then ½, with a warning. The method must be known, since it explains
again: the map of another tool is refused. Guarantees: between 0 and 1; k·map with k > 0 gives the same value. Costs
one forward pass and what the method costs.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg", "grad-cam"), "adcc")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.evaluation.again import Given, maps_of
from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.average_drop import share_lost
from sightline.evaluation.faithfulness.correlation import correlation
from sightline.evaluation.faithfulness.shown import Base, soft_mask, through_map
from sightline.images.fills import Mean
from sightline.passes.passes import Passes


@dataclass(frozen=True, kw_only=True)
class Adcc(Metric):
    """Whether the map is enough, small, and the same for what is seen through it, in one number."""

    base: Base = Mean()

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="0 to 1",
        cost="2 F + the method's",
        paper="Poppi, Cornia, Baraldi, Cucchiara, Revisiting The Evaluation of Class Activation Mapping for "
        "Explainability, CVPR Workshops 2021",
        needs_method=True,
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        whole, through, warnings = through_map(passes, question, self.base, None)
        drop, mask = share_lost(whole, through, self.name), soft_mask(question.map)
        fill = self.base.make(question.pixels, passes.classifier.values)
        seen = fill + torch.from_numpy(mask).to(fill) * (question.pixels - fill)
        again = soft_mask(maps_of(passes, question, Given(seen))[0].numpy())
        alike, still = correlation(mask.ravel(), again.ravel(), "pearson")
        if still:
            warnings += ("this map, or that of what is seen through it, is flat: their coherency was counted as 1/2",)
        parts = {"coherency": (alike + 1) / 2, "complexity": float(mask.mean()), "average drop": drop}
        good = (parts["coherency"], 1 - parts["complexity"], 1 - drop)
        value = 3 / sum(1 / part for part in good) if min(good) > 0 else 0.0
        return Value(value=value, details=parts, warnings=warnings)
