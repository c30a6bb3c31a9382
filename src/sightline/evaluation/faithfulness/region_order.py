"""Regions put in the order of a map, so that they are exchanged one after the other.

Regions of equal value go in the order of their numbers (from the top left), which is the rule of this room for regions;
pixels of equal value go from the end (`ranking.py`), as RISE has it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.evaluation.faithfulness.subsets import per_feature
from sightline.images.regions import sliding_windows


def tiles(height: int, width: int, side: int) -> torch.Tensor:
    """Squares of `side` pixels that do not overlap, row by row; those at the end are cut off: `h w` int64."""
    windows = sliding_windows(height, width, side, side)
    return torch.arange(height)[:, None] // side * windows.columns + torch.arange(width) // side


def region_rank(map: NDArray[np.float32], regions: torch.Tensor, *, mean: bool, least: bool = False) -> torch.Tensor:
    """`1 h w` int64: the place of each pixel's region in the order of the sums, or the means, of the map.

    Args:
        map: `h w`.
        regions: `h w` int64, from 0 without gaps.
        mean: order by the mean over the region's pixels, in place of the sum.
        least: the region with the lowest value first.
    """
    values = per_feature(map, regions)
    if mean:
        values /= per_feature(np.ones_like(map), regions)
    order = np.argsort(values if least else -values, kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return torch.from_numpy(places)[regions.cpu()][None]
