"""Shapes of what nodes are given, as plain numbers also while a pass is traced."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx


def shape_of(node: fx.Node, place: int) -> tuple[int, ...]:
    """The shape of a node's argument."""
    given: Any = node.args[place]
    return tuple(int(side) for side in given.meta["val"].shape)


def sides_of(maps: torch.Tensor) -> tuple[int, ...]:
    """Height and width, as plain numbers also while a pass is traced."""
    return tuple(int(side) for side in maps.shape[2:])


def pair(sides: Any) -> list[int]:
    found = [sides] if isinstance(sides, int) else list(sides)
    return found * 2 if len(found) == 1 else found
