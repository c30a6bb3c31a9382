"""Random parts of a picture hidden together: what the metrics share that compare sums of the map with drops.

A feature is a pixel or a region, all channels at once; a version hides so many of them, drawn without putting back.
Version j of a seed hides the same features however many versions are run at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.evaluation.base import Question
from sightline.evaluation.faithfulness.scoring import What, clean_score, perturbed_scores
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation
from sightline.types import Pixels

_AT_ONCE = 64  # versions whose sums are taken together


@dataclass(frozen=True, eq=False)
class Hidden(Perturbation):
    """Versions of a picture with random features hidden.

    Attributes:
        features: `h w` int64, the feature of each pixel, from 0 without gaps.
        sizes: how many features each version hides.
        other: `1 c h w`, what hidden pixels show.
        seed: of the draws.
    """

    features: torch.Tensor
    sizes: tuple[int, ...]
    other: Pixels
    seed: int

    def __len__(self) -> int:
        return len(self.sizes)

    def drawn(self, rows: slice) -> NDArray[np.bool_]:
        """Which features some versions hide, `m f`."""
        count = int(self.features.max()) + 1
        places = range(*rows.indices(len(self)))
        hidden = np.zeros((len(places), count), bool)
        for row, place in zip(hidden, places, strict=True):
            chance = np.random.default_rng([self.seed, place])
            row[chance.choice(count, self.sizes[place], replace=False, shuffle=False)] = True
        return hidden

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        hidden = torch.from_numpy(self.drawn(rows)).to(pixels.device)[:, self.features.to(pixels.device)]
        return torch.where(hidden[:, None, None], self.other[None], pixels[None]).flatten(0, 1)

    def sums(self, map: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the map gives to all that a version hides, `n` float64."""
        each = per_feature(map, self.features)
        return np.concatenate([self.drawn(rows) @ each for rows in _stretches(len(self))])


def pixelwise(map: NDArray[np.float32]) -> torch.Tensor:
    """Every pixel a feature, `h w` int64."""
    return torch.arange(map.size).reshape(map.shape)


def per_feature(map: NDArray, features: torch.Tensor) -> NDArray[np.float64]:
    """What a map `h w` gives to each feature, the sum over its pixels: `f` float64."""
    return np.asarray(np.bincount(features.cpu().numpy().ravel(), map.ravel().astype(np.float64)), np.float64)


def said_and_seen(
    passes: Passes, question: Question, hidden: Hidden, what: What
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each version what the map gives to what it hides, and how much the score falls: `n` and `n` float64."""
    scores = perturbed_scores(passes, question.pixels, hidden, question, what, fine=True).numpy()
    return hidden.sums(question.map), clean_score(passes, question, what, fine=True) - scores


def _stretches(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE))
