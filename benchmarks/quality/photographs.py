"""The photographs with the box of their object, in the order in which they are measured."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeAlias

import numpy as np

SIDE = 227
"""Width and height of every photograph; the network sees the 224 × 224 pixels in its middle."""
DIFFICULT = 0.25
"""Share of the photograph up to which the box of its object is small."""
SEED = 0

Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True)
class Photograph:
    """One photograph: its file, the class of its object, and the object's box in pixels, (left, top, right, bottom)."""

    path: Path
    label: int
    box: Box

    @property
    def share(self) -> float:
        """How much of the photograph the box covers, 0 to 1."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top) / SIDE**2

    @property
    def difficult(self) -> bool:
        """Whether the box is so small that pointing at the middle is no answer."""
        return self.share <= DIFFICULT


def read(folder: Path) -> list[Photograph]:
    """All photographs with a truth, in the order of their list.

    Args:
        folder: holds `imagenet.csv` (file, label, x0, y0, x1, y1 in pixels) and the folder `imagenet`.
    """
    with (folder / "imagenet.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Photograph(
            folder / "imagenet" / row["file"],
            int(row["label"]),
            (float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"])),
        )
        for row in rows
    ]


def in_turns(photographs: Sequence[Photograph], seed: int = SEED) -> list[Photograph]:
    """The photographs in a fixed random order in which difficult and other ones take turns, a difficult one first."""
    generator = np.random.default_rng(seed)
    shuffled = [photographs[place] for place in generator.permutation(len(photographs))]
    difficult = [one for one in shuffled if one.difficult]
    others = [one for one in shuffled if not one.difficult]
    return [one for one in chain.from_iterable(zip_longest(difficult, others)) if one is not None]
