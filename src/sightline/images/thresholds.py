"""Thresholds: from which value on a map says "here". What a map says by negative values never belongs to it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from sightline.spec import Catalogue, Named
from sightline.types import Doc, Range

_BINS = 256


@dataclass(frozen=True, kw_only=True)
class Threshold(Named):
    """From which value on a pixel belongs to what a map shows."""

    @abstractmethod
    def level(self, values: NDArray[np.float32]) -> float:
        """The lowest value that belongs to it, of `n` values of a map."""

    @final
    def mask(self, map: NDArray[np.float32], seen: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Where a map is positive and not below the level, booleans of its shape.

        Args:
            map: `h w`, finite.
            seen: where it tells something; all of it by default.
        """
        seen = np.ones(map.shape, bool) if seen is None else seen
        positive = seen & (map > 0)
        return positive & (map >= self.level(map[seen])) if positive.any() else positive


@dataclass(frozen=True, kw_only=True)
class Fixed(Threshold):
    """A part of the map's maximum (B. Zhou et al., CVPR 2016, take 0.2 for boxes of class activation maps)."""

    share: Annotated[float, Range(0, 1), Doc("of the map's maximum")] = 0.5

    def level(self, values: NDArray[np.float32]) -> float:
        return self.share * float(values.max())


@dataclass(frozen=True, kw_only=True)
class Quantile(Threshold):
    """As many pixels as wanted: those whose value no more than a part of all pixels reaches."""

    share: Annotated[float, Range(0, 1), Doc("of the pixels that lie below")] = 0.9

    def level(self, values: NDArray[np.float32]) -> float:
        return float(np.quantile(values, self.share))


@dataclass(frozen=True, kw_only=True)
class Otsu(Threshold):
    """The level that parts the map's positive part best in two: the largest variance between high and low values.

    N. Otsu, "A threshold selection method from gray-level histograms", 1979, over 256 bins from the lowest to the
    highest value; what is negative counts as 0. The level is the middle of a bin, and what lies above it belongs to it.
    """

    aliases: ClassVar[tuple[str, ...]] = ("automatic",)

    def level(self, values: NDArray[np.float32]) -> float:
        positive = values.clip(min=0).astype(np.float64)
        if positive.min() == positive.max():
            return float(positive.max())
        counts, edges = np.histogram(positive, _BINS)
        centres = (edges[:-1] + edges[1:]) / 2
        low, high = counts.cumsum(), counts[::-1].cumsum()[::-1]
        low_mean = (counts * centres).cumsum() / low.clip(min=1)
        high_mean = (counts * centres)[::-1].cumsum()[::-1] / high.clip(min=1)
        between = low[:-1] * high[1:] * (low_mean[:-1] - high_mean[1:]) ** 2
        return float(np.nextafter(centres[between.argmax()], np.inf))


# mypy wants concrete classes for type[T]; a catalogue is told its abstract base on purpose
THRESHOLDS: Catalogue[Threshold] = Catalogue(
    "threshold",
    Threshold,  # type: ignore[type-abstract]
    [Fixed, Quantile, Otsu],
)
