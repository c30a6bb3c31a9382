"""What the measures of complexity look at: how strong the map is at each pixel, for or against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EMPTY = "the map is 0 everywhere: nothing is spread over the picture, counted as 0"


def strength(map: NDArray[np.float32]) -> NDArray[np.float64]:
    """The absolute values of a map over the largest of them, `n` float64 from 0 to 1; 0 everywhere where it is 0."""
    values = np.abs(map.ravel()).astype(np.float64)
    top = values.max()
    return values / top if top > 0 else values
