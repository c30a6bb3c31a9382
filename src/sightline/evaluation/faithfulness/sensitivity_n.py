"""Sensitivity-n: for parts of every size, does the map's sum go with what the network loses without the part?

    n      `sizes` numbers of pixels from 1 to `largest` of all, evenly spaced in their logarithm
    r_n    Pearson's correlation, over `samples` random sets S of n pixels, of Σ_{i ∈ S} map_i with
           f(x) − f(x with S as in base)
    value  mean of the r_n; the curve is r_n over the share of the pixels

M. Ancona, E. Ceolini, C. Öztireli and M. Gross, "Towards better understanding of gradient-based attribution methods for
deep neural networks", ICLR 2018, arXiv 1711.06104: 100 sets a size, n up to about 80 % of the
input, 0 for what is hidden; the curve is theirs, its mean is only a summary. Higher is better. A pixel is hidden with
all its channels. Quantus' `SensitivityN` draws no random sets: it hides pixels one after the other in the order of the
map and correlates the parts of that one path. Guarantees: between −1 and 1; k·map + c with k > 0 gives the same value;
a linear network and its own contributions (x − base)·w give 1 for every n. Costs one forward pass a set.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg"), "sensitivity-n(sizes=5, samples=20)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from sightline.evaluation.base import Curve, Metric, MetricTraits, Question, Value
from sightline.evaluation.faithfulness.correlation import correlation
from sightline.evaluation.faithfulness.scoring import Score
from sightline.evaluation.faithfulness.subsets import Hidden, pixelwise, said_and_seen
from sightline.images.fills import Fill, Mean
from sightline.passes.passes import Passes
from sightline.types import Doc, Range, Seed


@dataclass(frozen=True, kw_only=True)
class SensitivityN(Metric):
    """How well the map's sums over random pixels go with what the network loses without them, for all sizes."""

    sizes: Annotated[int, Range(1, 1 << 12), Doc("how many sizes n, at most")] = 10
    largest: Annotated[float, Range(0.001, 0.999), Doc("the largest n, as a share of the pixels")] = 0.8
    samples: Annotated[int, Range(2, 1 << 20), Doc("random sets of each size")] = 100
    base: Annotated[Fill, Doc("what hidden pixels show")] = Mean()
    score: Score = "logit"
    seed: Seed = 0

    traits = MetricTraits(
        family="faithfulness",
        better="higher",
        range="-1 to 1",
        cost="sizes · samples F + 1 F",
        paper="Ancona, Ceolini, Öztireli, Gross, Towards better understanding of gradient-based attribution methods "
        "for deep neural networks, ICLR 2018",
        axes=("share of the picture hidden", "correlation"),
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        pixels = question.map.size
        largest = max(1, int(pixels * self.largest + 1e-9))
        sizes = np.unique(np.geomspace(1, largest, self.sizes).round().astype(int))
        hidden = Hidden(
            features=pixelwise(question.map),
            sizes=tuple(int(size) for size in sizes.repeat(self.samples)),
            other=self.base.make(question.pixels, passes.classifier.values),
            seed=self.seed,
        )
        said, seen = said_and_seen(passes, question, hidden, self.score)
        pairs = zip(np.split(said, len(sizes)), np.split(seen, len(sizes)), strict=True)
        found = [correlation(*pair, "pearson") for pair in pairs]
        heights = np.array([height for height, _ in found])
        still = [f"of {size} pixels: {text}" for size, (_, texts) in zip(sizes, found, strict=True) for text in texts]
        return Value(value=float(heights.mean()), curve=Curve(sizes / pixels, heights), warnings=tuple(still))
