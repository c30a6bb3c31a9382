"""Means with their uncertainty, and differences on the same photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
SEED = 0


@dataclass(frozen=True)
class Mean:
    """A mean over photographs, and the middle 95 % of the means of resampled photographs."""

    value: float
    low: float
    high: float
    count: int

    @property
    def clear(self) -> int:
        """1 where the interval lies above 0, -1 where it lies below, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def mean(values: Sequence[float]) -> Mean | None:
    """The mean with its bootstrap interval (percentiles, photographs resampled); None of nothing.

    Of one photograph there is no interval: it is then as wide as can be.
    """
    if not values:
        return None
    given = np.asarray(values, np.float64)
    if len(given) == 1:
        return Mean(float(given[0]), -np.inf, np.inf, 1)
    places = np.random.default_rng(SEED).integers(len(given), size=(RESAMPLES, len(given)))
    low, high = np.percentile(given[places].mean(1), [2.5, 97.5])
    return Mean(float(given.mean()), float(low), float(high), len(given))


def difference(one: Mapping[str, float], other: Mapping[str, float]) -> Mean | None:
    """The mean of one minus the other on the photographs that both have; None where there is none."""
    return mean([one[picture] - other[picture] for picture in one if picture in other])
