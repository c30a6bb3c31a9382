"""One picture, walked clean, and batches of its windows carried through the program as tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import fx

from sightline.passes.windows.operations import first
from sightline.passes.windows.program import Program
from sightline.passes.windows.reach import Integers, Place, Reach, Span
from sightline.passes.windows.rules import Sliding, Value, Windowed
from sightline.passes.windows.tiles import Ground, Tile, cut, whole

MOST_OF_A_MAP = 0.85
"""A tile of more than this part of a map is carried on as whole maps: its halo would cost as much as the rest."""


class Walk:
    """A program, one picture `1 c h w`, and what each of n windows can change on the way.

    Args:
        program: of the network.
        picture: unperturbed, in the program's precision.
        fill: `1 c h w`, what is shown inside a window.
        boxes: `n 4`, (top, left, bottom, right), ends excluded.

    Attributes:
        reach: what each window can change of the maps that stay maps of tiles.
        grounds: those maps, clean.
        costs: of the operations that cost most, the multiplications for one cell (of a linear layer: row) and the
            number of cells.
    """

    def __init__(self, program: Program, picture: torch.Tensor, fill: torch.Tensor, boxes: Integers) -> None:
        self.program = program
        self.fill = Ground(fill)
        size = (picture.shape[2], picture.shape[3])
        self.boxes = boxes.clip(0, [*size, *size])
        top, left, bottom, right = self.boxes.T
        self.reach = {program.source: Reach(Span(top, bottom, size[0]), Span(left, right, size[1]))}
        self.grounds = {program.source: Ground(picture)}
        self.costs: dict[fx.Node, tuple[int, int]] = {}
        self._walk_clean(picture)

    def _walk_clean(self, picture: torch.Tensor) -> None:
        """Every operation once on the clean picture; kept are the maps that windows change in part."""
        program = self.program
        clean = _Clean(program, picture)
        for node, rule in program.rules.items():
            if node in program.over:  # the map that others were given must stay as it is
                clean.values[first(node)] = clean.values[first(node)].clone()
            found = clean.values[node] = rule.answer(node, clean)
            if isinstance(found, torch.Tensor) and all(work := rule.work(found)):
                self.costs[node] = work
            given = [self.reach.get(other) for other in node.all_input_nodes if other not in program.constants]
            if isinstance(found, torch.Tensor) and found.ndim == 4 and None not in given:
                size = (found.shape[2], found.shape[3])
                reach = rule.reach(node, [one for one in given if one is not None], size)
                if reach is not None:
                    self.reach[node], self.grounds[node] = reach, Ground(found)
            clean.forget(node)

    def places(self, rows: Integers) -> dict[fx.Node, Place]:
        """Where the tiles of some windows lie at each node; no entry where whole maps are better."""
        found = {self.program.source: self.reach[self.program.source].place(rows)}
        for node in self.program.rules:
            given = [other for other in node.all_input_nodes if other not in self.program.constants]
            if node not in self.reach or any(other not in found for other in given):
                continue
            place, (height, width) = self.reach[node].place(rows), self.reach[node].size
            if place.cells <= MOST_OF_A_MAP * height * width:
                found[node] = place
        return found

    def scores(self, rows: Integers) -> Any:
        """What the network hands back for some windows, as one batch."""
        carried = _Carried(self, rows)
        places = self.places(rows)
        carried.values[self.program.source] = self._covered(rows, places[self.program.source])
        for node, rule in self.program.rules.items():
            place = places.get(node)
            found = rule.answer(node, carried) if place is None else rule.tile(node, carried, place)
            carried.values[node] = found
            carried.forget(node)
        return fx.node.map_arg(self.program.answer, carried.whole)

    def _covered(self, rows: Integers, place: Place) -> Tile:
        """The rectangles of the picture with the windows filled."""
        top, left, bottom, right = (side[:, None] for side in self.boxes[rows].T)
        down, across = place.top[:, None] + np.arange(place.height), place.left[:, None] + np.arange(place.width)
        inside = ((down >= top) & (down < bottom))[:, :, None] & ((across >= left) & (across < right))[:, None, :]
        hidden = torch.from_numpy(inside).to(self.fill.clean.device)[:, None]
        picture = cut(self.grounds[self.program.source], place)
        return Tile(torch.where(hidden, cut(self.fill, place), picture), place)


class _Clean(Windowed):
    """Values on the clean picture; whole throughout."""

    def __init__(self, program: Program, picture: torch.Tensor) -> None:
        self._program = program
        self.values: dict[fx.Node, Any] = {**program.constants, program.source: picture}

    def of(self, node: fx.Node) -> Value:
        return self.values[node]

    def whole(self, node: fx.Node) -> Value:
        return self.values[node]

    def ground(self, node: fx.Node) -> Ground:
        raise AssertionError("nothing is a tile on the clean walk")

    def spare(self, node: fx.Node, after: fx.Node) -> bool:
        return False

    def forget(self, node: fx.Node) -> None:
        for other in self._program.last.get(node, ()):
            self.values.pop(other)


class _Carried(_Clean):
    """Values for a batch of windows."""

    def __init__(self, walk: Walk, rows: Integers) -> None:
        super().__init__(walk.program, walk.grounds[walk.program.source].clean)
        self._walk = walk
        self._pasted: dict[fx.Node, torch.Tensor] = {}

    def whole(self, node: fx.Node) -> Value:
        if not isinstance(value := self.values[node], Tile):
            return value
        if node not in self._pasted:
            self._pasted[node] = whole(value, self.ground(node))
        return self._pasted[node]

    def forget(self, node: fx.Node) -> None:
        super().forget(node)
        for other in self._program.last.get(node, ()):
            self._pasted.pop(other, None)

    def spare(self, node: fx.Node, after: fx.Node) -> bool:
        # Only the answer of a sliding kernel is a tensor of its own for sure: others may be views.
        return node in self._program.last.get(after, ()) and isinstance(self._program.rules.get(node), Sliding)

    def ground(self, node: fx.Node) -> Ground:
        return self._walk.grounds[node]
