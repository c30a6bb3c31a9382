"""Randomisation of parameters: does the map change when the network forgets what it has learnt?

    value  mean over the stages of similarity(map of the network, map of the network with parameters drawn anew)

top-down (cascading): the layer next to the scores first, then that and the one before it, until nothing is left of the
training; bottom-up the other way round; independent: each alone, all others as they were learnt. A method whose map
stays has not looked at what was drawn anew: it shows the picture, not the network. J. Adebayo, J. Gilmer, M. Muelly,
I. Goodfellow, M. Hardt and B. Kim, "Sanity Checks for Saliency Maps", NeurIPS 2018, section 3, with their four measures
(the means of all four stand in the details, and the similarity after each stage under the layer's name). Their curves
go by blocks, 17 of them for Inception v3; here `stages` groups of layers (0: each layer by itself). With
`samples=50, order=bottom-up` it is the smooth form, sMPRT, of A. Hedström, L. Weber, S. Lapuschkin and M. Höhne,
"Sanity Checks Revisited", 2023: every map is the mean over noisy copies, so that noise of the gradient does not pass
for forgetting. What layers are drawn from is what torch draws for new ones (`sightline.evaluation.sanity.redrawn`); the
network itself is only copied. Quantus' `MPRT` takes each layer in the order of definition, with one seed for all.
Guarantees: at most 1, which is a map that did not change at all; the details hold what was found after each stage, and
a stage that the method does not depend on gives 1. The paper asks for a map that is independent of the one before, and
that is 0: below 0 the map was turned round, as a new last layer may do, and its pattern is still there
(`absolute-spearman` tells it). So `sightline compare` ranks methods by how far they lie from 0 on either side, and a
map that was turned round wins nothing by it. Normalisation layers without training have
weight 1 and bias 0. Not every similarity is a fault: maps multiplied by the picture keep its outline, and random
networks still see edges.
Costs the method's passes once for each stage and once more.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "parameter-randomisation(similarity=ssim, stages=8)")
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.attribution.gradient.smooth_grad import SmoothGrad
from sightline.evaluation.again import Given, clean_map, maps_of
from sightline.evaluation.base import Curve, Metric, MetricTraits, Question, Value
from sightline.evaluation.sanity.cascade import Order, groups, redrawn
from sightline.evaluation.similarity import Similarity, SimilarityField, similarities
from sightline.passes.passes import Passes
from sightline.types import Doc, Range, Seed

_ADEBAYO: tuple[Similarity, ...] = tuple(kind for kind in get_args(Similarity) if kind != "cosine")


@dataclass(frozen=True, kw_only=True)
class ParameterRandomisation(Metric):
    """How much the map stays the same when the network's parameters are drawn anew."""

    order: Annotated[Order, Doc("from the scores down, from the pixels up, or each stage alone")] = "top-down"
    similarity: SimilarityField = "spearman"
    stages: Annotated[int, Range(0, 10_000), Doc("groups of layers, as even as can be; 0: each layer by itself")] = 16
    samples: Annotated[int, Range(1, 10_000), Doc("noisy copies that each map is the mean of (1: no noise)")] = 1
    spread: Annotated[float, Range(0, 10), Doc("deviation of that noise, in parts of the picture's range")] = 0.1
    seed: Seed = 0

    aliases: ClassVar[tuple[str, ...]] = ("model-parameter-randomisation", "mprt")

    traits = MetricTraits(
        family="sanity",
        better="lower",
        range="-1 to 1",
        cost="the method's, a stage and once more",
        paper="Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018",
        needs_method=True,
        axes=("share of the stages drawn anew", "similarity"),
        ideal=0.0,
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        map, warnings = clean_map(passes, question)
        if self.samples > 1:
            smooth = SmoothGrad(of=question.behind, samples=self.samples, spread=self.spread, seed=self.seed)
            question = replace(question, method=smooth)
            map = maps_of(passes, question, Given(question.pixels))[0]
        own = map.numpy()
        each = groups(passes, question, self.order, self.stages)
        maps: list[NDArray[np.float32]] = []
        with redrawn(passes, each, self.seed, independent=self.order == "independent") as others:
            maps += [maps_of(other, question, Given(question.pixels))[0].numpy() for other in others]
        each_kind = {kind: similarities(own, maps, kind) for kind in dict.fromkeys((*_ADEBAYO, self.similarity))}
        found = each_kind[self.similarity]
        means = {f"mean {kind}": float(np.mean(each_kind[kind])) for kind in _ADEBAYO}
        flat = sum(map.min() == map.max() for map in maps)
        if flat:
            warnings += (
                f"the map is flat after {flat} of {len(maps)} stages: a network that answers nothing there, and a "
                "similarity of 0 by rule",
            )
        return Value(
            value=float(np.mean(found)),
            curve=Curve(np.linspace(0, 1, len(maps) + 1), np.array([1.0, *found])),
            details={**means, **{names[-1] or "(top level)": one for names, one in zip(each, found, strict=True)}},
            warnings=warnings,
        )
