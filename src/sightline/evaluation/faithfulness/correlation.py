"""How two rows of numbers go together: Pearson's and Spearman's correlation, and when there is none to tell.

    Pearson   Σ (a − ā)(b − b̄) / √(Σ (a − ā)² Σ (b − b̄)²)
    Spearman  Pearson's of the ranks, equal numbers sharing the mean of their ranks

Where one of the two never moves there is no correlation: it is then 0, with a warning.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["pearson", "spearman"]

STILL = 1e-6  # the network's answers move less than this by rounding alone
ROUNDING = 1e-9  # sums of the same numbers in another order differ by less, relative to the largest


def correlation(said: NDArray, seen: NDArray, kind: Kind) -> tuple[float, tuple[str, ...]]:
    """The correlation of what the map said with what the network did, from −1 to 1, and what must be known of it."""
    said, seen = np.asarray(said, np.float64), np.asarray(seen, np.float64)
    if len(said) < 2 or np.ptp(said) <= ROUNDING * max(np.abs(said).max(), np.finfo(np.float64).tiny):
        return 0.0, ("the map gives every part that was hidden the same value: there is no correlation, counted as 0",)
    if np.ptp(seen) <= STILL * max(1.0, float(np.abs(seen).max())):
        return 0.0, ("the network's answer hardly moves, whatever is hidden: there is no correlation, counted as 0",)
    if kind == "spearman":
        said, seen = ranks(said), ranks(seen)
    said, seen = said - said.mean(), seen - seen.mean()
    return float(np.clip(said @ seen / np.sqrt((said @ said) * (seen @ seen)), -1, 1)), ()


def ranks(values: NDArray) -> NDArray[np.float64]:
    """The place of each number by rising value, from 0; equal numbers share the mean of their places."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[inverse]
