"""How alike two maps of one size are: 1 for equal ones, about 0 for maps that have nothing to do with each other.

    spearman           Pearson's correlation of the ranks, equal values at their mean rank: −1 … 1
    absolute-spearman  the same of |map|
    ssim               structural similarity of the scaled |map|s: Z. Wang, A. C. Bovik, H. R. Sheikh and
                       E. P. Simoncelli, 2004, eq. 13, Gaussian window of 11 pixels, σ 1.5, whole windows only
    hog                Pearson's correlation of histograms of oriented gradients of the scaled |map|s: N. Dalal and
                       B. Triggs, 2005, 9 unsigned directions, cells of 16 pixels, blocks of 3 × 3 cells, L2-Hys
    cosine             ⟨a, b⟩ / (‖a‖ ‖b‖): −1 … 1; of maps without negative values 0 … 1

The first four are those of J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018; they scale |map| from 0
to 1, cut off at its 99th percentile. The numbers are those of scipy and scikit-image. A map that is flat has no order
and no direction: it is like nothing (0), but for another flat one (1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sightline.evaluation.faithfulness.correlation import ranks
from sightline.types import Doc

Similarity: TypeAlias = Literal["spearman", "absolute-spearman", "ssim", "hog", "cosine"]
SimilarityField = Annotated[Similarity, Doc("how maps are compared")]
Floats: TypeAlias = NDArray[np.floating]

_WINDOW, _SIGMA = 11, 1.5
_CELL, _BLOCK, _DIRECTIONS, _HYSTERESIS = 16, 3, 9, 0.2


def similarity(one: Floats, other: Floats, kind: Similarity) -> float:
    """How alike two maps `h w` are."""
    flat = [bool(map.min() == map.max()) for map in (one, other)]
    if any(flat):
        return float(all(flat))
    return _KINDS[kind](one.astype(np.float64), other.astype(np.float64))


def similarities(one: Floats, others: Iterable[Floats], kind: Similarity) -> list[float]:
    """How alike a map `h w` is to each of several."""
    return [similarity(one, other, kind) for other in others]


def pearson(one: Floats, other: Floats) -> float:
    """The correlation of two arrays; 0 where one of them is constant."""
    one, other = one.ravel() - one.mean(), other.ravel() - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale else 0.0


def _spearman(one: Floats, other: Floats) -> float:
    return pearson(ranks(one.ravel()), ranks(other.ravel()))


def _absolute_spearman(one: Floats, other: Floats) -> float:
    return similarity(np.abs(one), np.abs(other), "spearman")  # strengths may be flat where signs are not


def _cosine(one: Floats, other: Floats) -> float:
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / scale if scale else 0.0


def _scaled(map: Floats) -> Floats:
    """|map| from 0 to 1, cut off at its 99th percentile."""
    strength = np.abs(map)
    low, high = strength.min(), np.percentile(strength, 99)
    if high <= low:
        high = strength.max()
    return ((strength - low) / max(high - low, 1e-300)).clip(0, 1)


def _ssim(one: Floats, other: Floats) -> float:
    one, other = _scaled(one), _scaled(other)
    mean, second = _smooth(one), _smooth(other)
    variance, second_variance = _smooth(one * one) - mean**2, _smooth(other * other) - second**2
    both = _smooth(one * other) - mean * second
    first, last = 0.01**2, 0.03**2
    top = (2 * mean * second + first) * (2 * both + last)
    return float((top / ((mean**2 + second**2 + first) * (variance + second_variance + last))).mean())


def _smooth(values: Floats) -> Floats:
    """The Gaussian mean at every whole window; on a map smaller than a window, over a window of its size."""
    for axis in (0, 1):
        size = min(_WINDOW, values.shape[axis] - (values.shape[axis] + 1) % 2)
        kernel = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * _SIGMA**2))
        values = sliding_window_view(values, size, axis) @ (kernel / kernel.sum())
    return values


def _hog(one: Floats, other: Floats) -> float:
    first, second = gradients_histogram(_scaled(one)), gradients_histogram(_scaled(other))
    # Maps of two rows or columns have no gradient anywhere inside.
    return 1.0 if np.array_equal(first, second) else pearson(first, second)


def gradients_histogram(map: Floats) -> Floats:
    """The histograms of oriented gradients, block by block; cells are smaller where the map has no three of them."""
    down, right = np.zeros_like(map), np.zeros_like(map)
    down[1:-1], right[:, 1:-1] = map[2:] - map[:-2], map[:, 2:] - map[:, :-2]
    cell = max(1, min(_CELL, *(side // _BLOCK for side in map.shape)))
    direction = np.rad2deg(np.arctan2(down, right)) % 180
    place = (direction * _DIRECTIONS / 180).astype(int).clip(max=_DIRECTIONS - 1)
    votes = np.hypot(down, right) * (place == np.arange(_DIRECTIONS)[:, None, None])
    rows, columns = (side // cell for side in map.shape)
    cells = votes[:, : rows * cell, : columns * cell].reshape(_DIRECTIONS, rows, cell, columns, cell).mean((2, 4))
    shape = (min(_BLOCK, rows), min(_BLOCK, columns))
    blocks = np.moveaxis(sliding_window_view(cells, shape, (1, 2)), 0, -1)
    blocks = _unit(_unit(blocks).clip(max=_HYSTERESIS))
    return blocks.ravel()


def _unit(blocks: Floats) -> Floats:
    return blocks / np.sqrt((blocks**2).sum((-3, -2, -1), keepdims=True) + 1e-10)


_KINDS: dict[str, Callable[[Floats, Floats], float]] = {
    "spearman": _spearman,
    "absolute-spearman": _absolute_spearman,
    "ssim": _ssim,
    "hog": _hog,
    "cosine": _cosine,
}
