"""In which order windows are run: those of one batch shall need tiles of the same size at every node."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.passes.windows.reach import Integers, Span
from sightline.passes.windows.walk import Walk


def ordered(walk: Walk, at_once: int) -> Integers:
    """The numbers of the windows, alike ones next to each other: near a border tiles are cut off, and cost less.

    Windows are parted by what their rows cost, and each part is sorted by what their columns cost.
    """
    down, across = _costs(walk)
    by_rows = np.argsort(down, kind="stable")
    batches = -(-len(by_rows) // at_once)
    size = at_once * max(1, round(batches**0.5))
    parts = [by_rows[start : start + size] for start in range(0, len(by_rows), size)]
    return np.concatenate([part[np.argsort(across[part], kind="stable")] for part in parts])


def share(walk: Walk, order: Integers, at_once: int) -> float:
    """The multiplications that are left, as a part of those of whole passes."""
    todo = total = 0.0
    for start in range(0, len(order), at_once):
        rows = order[start : start + at_once]
        places = walk.places(rows)
        for node, (costly, cells) in walk.costs.items():
            total += costly * cells * len(rows)
            todo += costly * (places[node].cells if node in places else cells) * len(rows)
    return todo / total if total else 1.0


def _costs(walk: Walk) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a window costs along each axis: the part of every map that it changes, by what the map costs."""
    count = len(walk.boxes)
    down, across = np.zeros(count), np.zeros(count)
    for node, (costly, cells) in walk.costs.items():
        if node in walk.reach:
            down += costly * cells * _part(walk.reach[node].down)
            across += costly * cells * _part(walk.reach[node].across)
    return down, across


def _part(span: Span) -> NDArray[np.float64]:
    return (span.high - span.low).clip(0) / span.size
