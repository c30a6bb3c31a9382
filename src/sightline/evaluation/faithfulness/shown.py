"""A picture seen through its own map: what average drop, increase, gain and ADCC ask about.

    m      (a − min a) / (max a − min a) with a = max(map, 0), or 1 on the `top` % of the pixels and 0 elsewhere
    seen   m · x + (1 − m) · base
    Y, O   probability of the target in x and in what is seen

A. Chattopadhay, A. Sarkar, P. Howlader and V. N. Balasubramanian, "Grad-CAM++", WACV 2018, section 4.1: the picture
times its map. With `base=mean`, which is 0 in the network's units, that product is taken of the prepared picture, as
torchcam, pytorch-grad-cam and the code of ADCC take it. H. Wang et al., "Score-CAM", CVPR Workshops 2020, show half of
the pixels in full (`top=50`). Evidence against the class (negative values) is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.evaluation.base import FLAT, Question, is_flat
from sightline.evaluation.faithfulness.ranking import FAINT, rank_of
from sightline.evaluation.faithfulness.scoring import clean_score, perturbed_scores
from sightline.images.fills import Fill
from sightline.passes.masks import MaskSource
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Masks
from sightline.percent import percent
from sightline.types import Doc, Range

Top: TypeAlias = Annotated[
    float | None, Range(0.01, 100), Doc("show so many % of the pixels in full; none: each as far as the map says")
]
Base: TypeAlias = Annotated[Fill, Doc("what is shown where the map is 0")]


class Seen(NamedTuple):
    """The probability of the target in the picture, in the picture through its map, and what must be known of it."""

    whole: float
    through: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Fixed(MaskSource):
    """Masks that are there already, `n 1 1 h w`."""

    masks: torch.Tensor

    def __len__(self) -> int:
        return len(self.masks)

    def make(self, rows: slice) -> torch.Tensor:
        return self.masks[rows]


def soft_mask(map: NDArray[np.float32]) -> NDArray[np.float32]:
    """`h w` from 0 to 1: the positive part of a map, stretched; 0 everywhere where that is flat."""
    positive = map.clip(min=0)
    low, high = positive.min(), positive.max()
    return np.zeros_like(positive) if low == high else (positive - low) / (high - low)


def mask_of(map: NDArray[np.float32], top: float | None) -> NDArray[np.float32]:
    """`h w` from 0 to 1: how far each pixel is shown."""
    if top is None:
        return soft_mask(map)
    return (rank_of(map)[0].numpy() < int(map.size * top / 100 + 1e-9)).astype(np.float32)


def through_map(passes: Passes, question: Question, base: Fill, top: float | None) -> Seen:
    """What the network sees of the target in the picture and through the map. Costs one forward pass."""
    mask = mask_of(question.map, top)
    fill = base.make(question.pixels, passes.classifier.values)
    masks = Masks(Fixed(torch.from_numpy(mask)[None, None, None]), fill)
    through = float(perturbed_scores(passes, question.pixels, masks, question, "probability"))
    whole = clean_score(passes, question, "probability")
    return Seen(whole, through, _warnings(question, mask, whole))


def _warnings(question: Question, mask: NDArray[np.float32], whole: float) -> tuple[str, ...]:
    warnings = [FLAT] if is_flat(question.map) else []
    if not mask.any() and not warnings:
        warnings.append("the map has no positive values, so nothing of the picture is shown through it")
    if whole < FAINT:
        warnings.append(f"the network gives the target {percent(whole)} in the whole picture: shares of it say little")
    return tuple(warnings)
