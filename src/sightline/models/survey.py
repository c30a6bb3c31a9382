"""What one pass through a network shows of its layers: names, kinds, shapes, how often each ran."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from sightline.models.taps import Event

_FLOAT = 4  # bytes
_POOLS = ("pool", "flatten", "softmax")
_PASSAGES = ("identity", "dropout", "droppath")
_TOKEN_PARTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.GELU, nn.ReLU, nn.SiLU, nn.Softmax)


@dataclass(frozen=True)
class Seen:
    """One module as one pass showed it.

    Attributes:
        shape: of its output, batch first.
        calls: how often it ran in the pass.
        passage: it only pools or hands on (or ends in such a module): nothing to explain at.
        part: inside a block of a transformer, not a place on the stream of tokens.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    calls: int
    passage: bool
    part: bool


@dataclass(frozen=True)
class Survey:
    """All modules in the order in which they finished, and what the pass cost in memory.

    Attributes:
        seen: one entry a module.
        pictures: how many there were in the pass.
        pixels: height and width of the input.
        forward_bytes: the largest output of one picture, in bytes: what a pass without gradients holds at a time.
        gradient_bytes: all outputs of one picture, in bytes: what a pass with gradients keeps.
    """

    seen: tuple[Seen, ...]
    pictures: int
    pixels: tuple[int, int]
    forward_bytes: int
    gradient_bytes: int

    def bytes_from(self, name: str) -> int:
        """The outputs of one picture from this module on, in bytes: what a graph that begins there keeps, at most."""
        names = [seen.name for seen in self.seen]
        later = self.seen[names.index(name) :] if name in names else self.seen
        return sum(_FLOAT * math.prod(seen.shape) for seen in later) // max(1, self.pictures)

    def find(self, name: str) -> Seen | None:
        """The module of this name, if it ran."""
        return next((seen for seen in self.seen if seen.name == name), None)


def survey_of(events: list[Event], pixels: torch.Tensor) -> Survey:
    """The survey of one pass over `pixels`."""
    calls: dict[str, int] = {}
    for event in events:
        calls[event.name] = calls.get(event.name, 0) + 1
    # A container that ends in a pool hands on the pool's own tensor. An Identity hands on another's, made by a module
    # or by a function, and may be worked on in place further on: that it was the first to show it says nothing.
    maker: dict[int, Event] = {}
    for event in events:
        maker.setdefault(id(event.output), event)
    last = {event.name: event for event in events}
    seen = tuple(
        Seen(
            name=event.name,
            kind=type(event.module).__name__,
            shape=tuple(event.output.shape),
            calls=calls[event.name],
            passage=_is(event.module, _POOLS + _PASSAGES)
            or _is(maker[id(event.output)].module, _POOLS)
            or _hands_on(event, maker[id(event.output)]),
            part=isinstance(event.module, _TOKEN_PARTS),
        )
        for event in last.values()
    )
    leaves = {id(event.output): event.output for event in events}
    sizes = [tensor.numel() * tensor.element_size() // max(1, len(pixels)) for tensor in leaves.values()]
    return Survey(seen, len(pixels), (pixels.shape[-2], pixels.shape[-1]), max(sizes, default=0), sum(sizes))


def _hands_on(event: Event, maker: Event) -> bool:
    """Whether a module gave, unchanged, what another had made before it: what it does itself it gives elsewhere.

    The last blocks of CoaT hand the finest grid on beside those that they work on.
    """
    inside = maker.name == event.name or maker.name.startswith(f"{event.name}.")
    return not inside and maker.version == event.version


def _is(module: nn.Module, words: tuple[str, ...]) -> bool:
    kind = type(module).__name__.lower().replace("poolformer", "")  # a network's name, not what its blocks do
    return any(word in kind for word in words)
