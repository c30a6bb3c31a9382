"""How each kind of operation treats tiles: what of its answer a window can change, and how to compute just that.

A rule never guesses: an operation without one of its own is `Anything`, which is given whole maps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import fx

from sightline.passes.windows.operations import first
from sightline.passes.windows.reach import Place, Reach, Slide
from sightline.passes.windows.tiles import Ground, Padding, Tile, cut, moved

Value = Any
"""What a node gives for m windows: a `Tile`, a tensor of whole maps, or what does not depend on the picture."""


class Windowed(ABC):
    """What a rule may ask while m windows are carried through the graph."""

    @abstractmethod
    def of(self, node: fx.Node) -> Value:
        """What a node gave: a tile where it has one."""

    @abstractmethod
    def whole(self, node: fx.Node) -> Value:
        """What a node gave, its tile pasted into whole maps."""

    @abstractmethod
    def ground(self, node: fx.Node) -> Ground:
        """The clean map of a node that gives tiles."""

    @abstractmethod
    def spare(self, node: fx.Node, after: fx.Node) -> bool:
        """Whether a node's maps may be written over, since nothing looks at them after another one."""


class Rule(ABC):
    """One operation of a graph; `call` is the operation as it stands, on clean or whole maps."""

    call: Callable[..., Any]

    def reach(self, node: fx.Node, given: list[Reach], size: tuple[int, int]) -> Reach | None:
        """What of the answer's map, of this size, each window can change; None where the answer is no map of tiles."""
        return None

    def tile(self, node: fx.Node, at: Windowed, place: Place) -> Value:
        """The answer for tiles at this place; asked only of rules that tell a reach."""
        raise AssertionError(f"{type(self).__name__} tells no reach, so it has no tiles")

    def answer(self, node: fx.Node, at: Windowed) -> Value:
        """The answer where it is no tile."""
        args = fx.node.map_arg(node.args, at.whole)
        return self.call(*args, **fx.node.map_arg(node.kwargs, at.whole))

    def work(self, found: torch.Tensor) -> tuple[int, int]:
        """Multiplications for one place of the answer for one picture, and its places, as far as they count."""
        return 0, 0


@dataclass(eq=False)
class Anything(Rule):
    """An operation that is given whole maps.

    Attributes:
        weights: how many each row of its answer is made with: of a linear layer all.
    """

    call: Callable[..., Any]
    weights: int = 0

    def work(self, found: torch.Tensor) -> tuple[int, int]:
        return (self.weights, found.numel() // found.shape[-1]) if self.weights else (0, 0)


@dataclass(eq=False)
class Cellwise(Rule):
    """Each cell of the answer depends on the same cell of what is given: activations, sums, channels joined."""

    call: Callable[..., Any]

    def reach(self, node: fx.Node, given: list[Reach], size: tuple[int, int]) -> Reach | None:
        sizes = {one.size for one in given}
        return reduce(Reach.joined, given) if sizes == {size} else None

    def tile(self, node: fx.Node, at: Windowed, place: Place) -> Value:
        def laid(other: fx.Node) -> Value:
            value = at.of(other)
            return moved(value, at.ground(other), place).data if isinstance(value, Tile) else value

        data = self.call(*fx.node.map_arg(node.args, laid), **fx.node.map_arg(node.kwargs, laid))
        return Tile(data, place)


@dataclass(eq=False)
class Sliding(Rule):
    """A kernel slides over a padded map: convolution, pooling.

    Attributes:
        down, across: how it moves.
        padding: around the map, as far as the kernel goes.
        slide: the operation on a map that is padded already: `m c h w` → `m k h' w'`.
        call: the operation as it stands.
        costly: multiplications for one number of the answer.
    """

    down: Slide
    across: Slide
    padding: Padding
    slide: Callable[..., torch.Tensor]
    call: Callable[..., Any]
    costly: int = 0

    def reach(self, node: fx.Node, given: list[Reach], size: tuple[int, int]) -> Reach | None:
        return given[0].slid(self.down, self.across, size)

    def tile(self, node: fx.Node, at: Windowed, place: Place) -> Tile:
        return Tile(self.slide(self.needed(node, at, place)), place)

    def needed(self, node: fx.Node, at: Windowed, place: Place) -> torch.Tensor:
        """What the kernel must see to answer at a place."""
        source = first(node)
        wanted = place.given(self.down, self.across)
        if wanted.like(at.of(source).place):
            return at.of(source).data
        return cut(at.ground(source), wanted, self.padding, at.of(source))

    def work(self, found: torch.Tensor) -> tuple[int, int]:
        return self.costly * found.shape[1], found[0, 0].numel()


@dataclass(eq=False)
class Mean(Rule):
    """The mean over a map: the clean one, moved by how much the tile differs from what it replaces."""

    call: Callable[..., Any]
    keepdim: bool

    def answer(self, node: fx.Node, at: Windowed) -> Value:
        source = first(node)
        tile = at.of(source)
        if not isinstance(tile, Tile):
            return super().answer(node, at)
        ground = at.ground(source)
        cells, numbers = ground.size[0] * ground.size[1], torch.promote_types(tile.data.dtype, torch.float32)
        change = (tile.data - cut(ground, tile.place)).sum((2, 3), dtype=numbers) / cells
        mean = (ground.clean.mean((2, 3), dtype=numbers) + change).to(tile.data.dtype)
        return mean[:, :, None, None] if self.keepdim else mean


@dataclass(eq=False)
class Shape(Rule):
    """A question about sizes: answered as for whole maps, without making them."""

    call: Callable[..., Any]

    def answer(self, node: fx.Node, at: Windowed) -> Value:
        def sized(other: fx.Node) -> Value:
            value = at.of(other)
            if not isinstance(value, Tile):
                return value
            return value.data.new_empty(1).expand(len(value.data), *at.ground(other).clean.shape[1:])

        return self.call(*fx.node.map_arg(node.args, sized), **fx.node.map_arg(node.kwargs, sized))
