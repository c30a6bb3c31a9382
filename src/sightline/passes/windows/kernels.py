"""How convolutions and pooling slide over tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from sightline.passes.windows.convolution import Convolution, Pair, pair
from sightline.passes.windows.operations import first
from sightline.passes.windows.reach import Place, Reach, Slide
from sightline.passes.windows.rules import Sliding, Windowed
from sightline.passes.windows.tiles import Ground, Padding, Tile, cut, moved, padded


def added() -> None:
    """Stands in a graph for a convolution of the first map and the sum with the second after it."""


@dataclass(eq=False)
class Convolving(Sliding):
    """A convolution; where the graph says `added`, with a sum after it."""

    def reach(self, node: fx.Node, given: list[Reach], size: tuple[int, int]) -> Reach | None:
        found = super().reach(node, given, size)
        if found is None or node.target is not added:
            return found
        return found.joined(given[-1]) if given[-1].size == size else None

    def tile(self, node: fx.Node, at: Windowed, place: Place) -> Tile:
        maps = self.needed(node, at, place)
        if node.target is not added:
            return Tile(self.slide(maps), place)
        other = node.all_input_nodes[-1]
        tile = at.of(other)
        plus = moved(tile, at.ground(other), place)
        return Tile(self.slide(maps, plus.data, plus is not tile or at.spare(other, node)), place)

    def answer(self, node: fx.Node, at: Windowed) -> torch.Tensor:
        maps = at.whole(first(node))
        if node.target is not added:
            return self.call(maps)
        other = node.all_input_nodes[-1]
        return self.call(maps, at.whole(other), at.spare(other, node))


def convolving(made: Convolution) -> Convolving:
    """The rule of a convolution."""
    extents = [d * (k - 1) + 1 for d, k in zip(made.dilation, made.weight.shape[2:], strict=True)]
    return Convolving(
        down=Slide(extents[0], made.stride[0], made.padding.top),
        across=Slide(extents[1], made.stride[1], made.padding.left),
        padding=made.padding,
        slide=made.slide,
        call=made,
        costly=made.weight[0].numel(),
    )


@dataclass(eq=False)
class Averaging(Sliding):
    """Sums of windows, divided by what the network divides by at each place of the map.

    Near the border that depends on whether padding counts, and on windows that stick out: the operation tells, given a
    map of ones.
    """

    _divisors: dict[tuple[int, int], Ground] = field(default_factory=dict)

    def tile(self, node: fx.Node, at: Windowed, place: Place) -> Tile:
        found = super().tile(node, at, place).data
        size = at.ground(first(node)).size
        if size not in self._divisors:
            ones = torch.ones(1, 1, *size, dtype=found.dtype, device=found.device)
            answers = self.call(ones)
            sums = self.slide(padded(ones, self.padding))[:, :, : answers.shape[2], : answers.shape[3]]
            self._divisors[size] = Ground(sums / answers)
        return Tile(found / cut(self._divisors[size], place), place)


def maximum(call: Callable[..., Any], moves: tuple[Any, Any, Any, Any], ceil: bool) -> Sliding:
    """The largest of each window: kernel, stride, padding and dilation as the operation is given them."""
    kernel, stride, _, dilation = _moves(moves)

    def slide(maps: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(maps, kernel, stride, 0, dilation)

    return Sliding(**_geometry(moves, ceil, -torch.inf), slide=slide, call=call)


def average(call: Callable[..., Any], moves: tuple[Any, Any, Any, Any], ceil: bool) -> Sliding:
    """The mean of each window: kernel, stride, padding and dilation as the operation is given them."""
    kernel, stride, *_ = _moves(moves)

    def slide(maps: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(maps, kernel, stride, divisor_override=1)

    return Averaging(**_geometry(moves, ceil, 0.0), slide=slide, call=call)


def _moves(moves: tuple[Any, Any, Any, Any]) -> tuple[Pair, Pair, Pair, Pair]:
    kernel, stride, padding, dilation = moves
    return pair(kernel), pair(stride or kernel), pair(padding), pair(dilation)


def _geometry(moves: tuple[Any, Any, Any, Any], ceil: bool, value: float) -> dict[str, Any]:
    """How a pool moves; with `ceil` its last window may stick out by as much as it is wide."""
    down, across = (
        Slide(dilation * (kernel - 1) + 1, stride, before)
        for kernel, stride, before, dilation in zip(*_moves(moves), strict=True)
    )
    below, right = (slide.before + (slide.extent - 1) * ceil for slide in (down, across))
    return {"down": down, "across": across, "padding": Padding(down.before, below, across.before, right, value)}
