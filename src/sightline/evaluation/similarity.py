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
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

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
    return similarities(one, [other], kind)[0]


def similarities(one: Floats, others: Iterable[Floats], kind: Similarity) -> list[float]:
    """How alike a map `h w` is to each of several; what the measure sees in that map is sought once."""
    seen, alike = _KINDS[kind]
    own = None if _is_flat(one) else seen(one.astype(np.float64))
    return [
        alike(own, seen(other.astype(np.float64)))
        if own is not None and not _is_flat(other)
        else float(own is None and _is_flat(other))
        for other in others
    ]


def _is_flat(values: Floats) -> bool:
    return bool(values.min() == values.max())


def pearson(one: Floats, other: Floats) -> float:
    """The correlation of two arrays; 0 where one of them is constant."""
    one, other = one.ravel() - one.mean(), other.ravel() - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale else 0.0


def _ranks(map: Floats) -> Floats:
    return ranks(map.ravel())


def _ranks_of_strengths(map: Floats) -> Floats:
    return ranks(np.abs(map).ravel())


def _correlated(one: Floats, other: Floats) -> float:
    flat = _is_flat(one), _is_flat(other)  # strengths may be flat where signs are not
    return float(all(flat)) if any(flat) else pearson(one, other)


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


class _Windows(NamedTuple):
    """A scaled map, and its mean and variance in every window."""

    scaled: Floats
    mean: Floats
    variance: Floats


def _windows(map: Floats) -> _Windows:
    scaled = _scaled(map)
    mean = _smooth(scaled)
    return _Windows(scaled, mean, _smooth(scaled * scaled) - mean**2)


def _ssim(one: _Windows, other: _Windows) -> float:
    both = _smooth(one.scaled * other.scaled) - one.mean * other.mean
    first, last = 0.01**2, 0.03**2
    top = (2 * one.mean * other.mean + first) * (2 * both + last)
    return float((top / ((one.mean**2 + other.mean**2 + first) * (one.variance + other.variance + last))).mean())


def _smooth(values: Floats) -> Floats:
    """The Gaussian mean at every whole window; on a map smaller than a window, over a window of its size."""
    for axis in (0, 1):
        size = min(_WINDOW, values.shape[axis] - (values.shape[axis] + 1) % 2)
        kernel = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * _SIGMA**2))
        values = sliding_window_view(values, size, axis) @ (kernel / kernel.sum())
    return values


def _directions(map: Floats) -> Floats:
    return gradients_histogram(_scaled(map))


def _hog(one: Floats, other: Floats) -> float:
    # Maps of two rows or columns have no gradient anywhere inside.
    return 1.0 if np.array_equal(one, other) else pearson(one, other)


def gradients_histogram(map: Floats) -> Floats:
    """The histograms of oriented gradients, block by block; cells are smaller where the map has no three of them."""
    down, right = np.zeros_like(map), np.zeros_like(map)
    down[1:-1], right[:, 1:-1] = map[2:] - map[:-2], map[:, 2:] - map[:, :-2]
    cell = max(1, min(_CELL, *(side // _BLOCK for side in map.shape)))
    direction = np.rad2deg(np.arctan2(down, right)) % 180
    place = (direction * _DIRECTIONS / 180).astype(int).clip(max=_DIRECTIONS - 1)
    rows, columns = (side // cell for side in map.shape)
    whole = np.s_[: rows * cell, : columns * cell]
    of_cell = np.arange(rows).repeat(cell)[:, None] * columns + np.arange(columns).repeat(cell)
    votes = np.bincount(
        (place[whole] * (rows * columns) + of_cell).ravel(), np.hypot(down, right)[whole].ravel(),
        _DIRECTIONS * rows * columns,
    )  # fmt: skip
    cells = votes.reshape(_DIRECTIONS, rows, columns) / cell**2
    shape = (min(_BLOCK, rows), min(_BLOCK, columns))
    blocks = np.moveaxis(sliding_window_view(cells, shape, (1, 2)), 0, -1)
    blocks = _unit(_unit(blocks).clip(max=_HYSTERESIS))
    return blocks.ravel()


def _unit(blocks: Floats) -> Floats:
    return blocks / np.sqrt((blocks**2).sum((-3, -2, -1), keepdims=True) + 1e-10)


_KINDS: dict[str, tuple[Callable[[Floats], Any], Callable[[Any, Any], float]]] = {
    "spearman": (_ranks, _correlated),
    "absolute-spearman": (_ranks_of_strengths, _correlated),
    "ssim": (_windows, _ssim),
    "hog": (_directions, _hog),
    "cosine": (np.asarray, _cosine),
}
"""What a measure sees in one map, and how alike two such sights are."""
