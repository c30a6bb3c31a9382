"""Random logit: does another class have another map?

    value = mean over classes k drawn from all others of similarity(map for the target, map for k)

L. Sixt, M. Granz and T. Landgraf, "When Explanations Lie: Why Many Modified BP Attributions Fail", ICML 2020, section
4.2: SSIM between the map for the class and that for a random one; near 1, the map does not tell why this class and not
another. One class as in the paper, `classes=10` for a steadier number. Of a contrast A-vs-B, k takes the place of A.
Quantus' `RandomLogit` and xplique's take SSIM, too: Quantus over the whole flattened array, xplique on maps of its own
scale. Guarantees: at most 1, which is a map that does not depend on the class. Networks share what they see between
classes, so related classes share evidence: the value of a good method is low, not 0. Costs the method's passes once for
each class and once more.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "random-logit(classes=5, similarity=spearman)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch

from sightline.errors import NotSupportedError
from sightline.evaluation.again import Given, clean_map, maps_of
from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.similarity import SimilarityField, similarities
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Range, Seed


@dataclass(frozen=True, kw_only=True)
class RandomLogit(Metric):
    """How much the map of another class is like that of the target."""

    classes: Annotated[int, Range(1, 100_000), Doc("other classes, drawn without one twice")] = 1
    similarity: SimilarityField = "ssim"
    seed: Seed = 0

    traits = MetricTraits(
        family="sanity",
        better="lower",
        range="-1 to 1",
        cost="the method's, a class and once more",
        paper="Sixt, Granz, Landgraf, When Explanations Lie: Why Many Modified BP Attributions Fail, ICML 2020",
        needs_method=True,
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        scores = passes.scores(question.pixels)[0]
        drawn = self._others(question.target, len(scores), passes.classifier.name)
        own, warnings = clean_map(passes, question)
        maps = [
            maps_of(passes, question, Given(question.pixels), Target(torch.tensor([other]), question.target.against))[0]
            for other in drawn
        ]
        found = similarities(own.numpy(), [map.numpy() for map in maps], self.similarity)
        if len(drawn) < self.classes:
            warnings += (f"there are only {len(drawn)} other classes: all of them were taken",)
        flat = [passes.classifier.label(k) for k, map in zip(drawn, maps, strict=True) if map.min() == map.max()]
        if flat:
            warnings += (f"the map for {', '.join(flat)} is flat, such as 0 everywhere: like nothing by rule, a 0",)
        named = {passes.classifier.label(other): one for other, one in zip(drawn, found, strict=True)}
        return Value(value=float(np.mean(found)), details=named, warnings=warnings)

    def _others(self, target: Target, classes: int, name: str) -> list[int]:
        """Classes that are neither the target nor what it is compared with, in random order.

        Raises:
            NotSupportedError: there is none.
        """
        taken = {int(target.index[0]), *([] if target.against is None else [int(target.against[0])])}
        order = torch.randperm(classes, generator=torch.Generator().manual_seed(self.seed)).tolist()
        others = [one for one in order if one not in taken]
        if not others:
            raise NotSupportedError(f"{name!r} has no other class than the target: there is no other map to compare")
        return others[: self.classes]
