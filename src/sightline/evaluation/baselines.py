"""Maps that know nothing of the network or of the class: what a method must beat to have said anything.

    random          every pixel a number of its own, from 0 to 1
    random-patches  7 × 7 numbers from 0 to 1, enlarged bilinearly, as coarse as the map of a last convolution
    centre          the nearer to the middle, the higher: photographers put what they show there

Two random ones, since the grain of a map decides what chance is worth: pixels taken away one here and one there destroy
a picture sooner than the same number in a patch does, so that noise has a better deletion than many a good map, and
patches a better insertion. torch is not needed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.images.frame import Frame

Baseline: TypeAlias = "Callable[[int, int, int], NDArray[np.float32]]"
"""From height, width and seed to a map `h w`."""
PATCHES = 7


def noise(height: int, width: int, seed: int) -> NDArray[np.float32]:
    """Every pixel a number of its own."""
    return np.random.default_rng(seed).random((height, width), dtype=np.float32)


def patches(height: int, width: int, seed: int) -> NDArray[np.float32]:
    """Coarse noise, enlarged bilinearly."""
    small = np.random.default_rng(seed).random((PATCHES, PATCHES), dtype=np.float32)
    whole = Frame((height, width), 1, (PATCHES, PATCHES), 0, 0, (PATCHES, PATCHES))
    return whole.to_picture(small).astype(np.float32)


def centre(height: int, width: int, _seed: int = 0) -> NDArray[np.float32]:
    """1 in the middle, falling with the distance from it, each side measured by its own length."""
    rows = (np.arange(height) + 0.5) / height - 0.5
    columns = (np.arange(width) + 0.5) / width - 0.5
    return (1 - np.hypot(rows[:, None], columns[None, :]) * np.sqrt(2)).astype(np.float32)


def moved(map: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """The map itself, moved around the edges by chance and perhaps mirrored: its values and its grain elsewhere."""
    generator = np.random.default_rng(seed)
    height, width = map.shape
    shift = int(generator.integers(height)), int(generator.integers(width))
    other = np.roll(map, shift, axis=(0, 1))
    for axis in (0, 1):
        if generator.random() < 0.5:
            other = np.flip(other, axis)
    return np.ascontiguousarray(other)


BASELINES: Mapping[str, Baseline] = MappingProxyType({"random": noise, "random-patches": patches, "centre": centre})
"""The baselines of every comparison."""
