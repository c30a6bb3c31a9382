"""One step of a network as relevance sees it: autograd's record of it, whose way back is a rule and no derivative."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch.autograd.function import once_differentiable

from sightline.errors import NotSupportedError
from sightline.models.relevance.affine import Affine, wide
from sightline.models.relevance.composites import Composite
from sightline.models.relevance.layer_rules import Box

Back: TypeAlias = "Callable[[torch.Tensor], tuple[torch.Tensor | None, ...]]"
"""From the relevance of what a step gave to that of each part that it was given."""
Local: TypeAlias = "Callable[..., tuple[torch.Tensor, Back]]"
"""What a step makes of its parts, detached, and the way back."""
Merge: TypeAlias = "Callable[[Affine, torch.Tensor, Box], tuple[Affine, torch.Tensor, Box]]"
"""A layer, what it is given and the ends of that, with what stands before the layer in it (`ahead.py`)."""


class Propagated(torch.autograd.Function):
    """A step that hands relevance back by a rule."""

    @staticmethod
    def forward(ctx: Any, local: Local, *parts: torch.Tensor) -> torch.Tensor:
        answer, ctx.back = local(*(part.detach() for part in parts))
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, relevance: torch.Tensor) -> Any:
        return None, *ctx.back(relevance)


def propagated(local: Local, *parts: torch.Tensor) -> torch.Tensor:
    """The answer of a step, whose relevance goes back as `local` says.

    Args:
        local: from the parts, detached, to a new tensor and the way back.
        parts: tensors that come from the picture.
    """
    answer: torch.Tensor = Propagated.apply(local, *parts)
    return answer


@dataclass(eq=False)
class LayerBack:
    """The way back through a linear layer; its rule is known once the whole network has run.

    Attributes:
        layer: with its own weights and bias.
        given: what the layer was given; the network's own tensor, of which nothing is kept twice.
        composite: which says the rule.
        first: whether no other linear layer stands before it.
        box: the lowest and highest value of each input, where they are known.
        ahead: takes a normalisation that stands before the layer into it, if one does.
        last: whether no other linear layer stands behind it.
    """

    layer: Affine
    given: torch.Tensor
    composite: Composite
    first: bool
    box: Box
    ahead: Merge | None = None
    last: bool = False
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.version = self.given._version

    def __call__(self, relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if self.given._version != self.version:
            raise NotSupportedError(
                f"what a {self.layer.kind} layer was given was overwritten later in the pass, so that its relevance "
                "cannot be told: give the network with inplace=False"
            )
        given, box = wide(self.given), self.box
        layer = self.layer.like(given)
        if self.ahead is not None:
            layer, given, box = self.ahead(layer, given, box)
        if self.composite.bias == "ignored":
            layer = layer.without_bias()
        rule = self.composite.rule(layer.kind, first=self.first, last=self.last)
        return (rule.back(layer, given, relevance.to(given), box).to(self.given.dtype),)


def first_layers(start: Any, before: Callable[[Any], Iterator[Any]]) -> Iterator[Any]:
    """The nodes of linear layers that are met first from a node on, each way; `before` gives a node's neighbours."""
    seen, waiting = {start}, [start]
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if isinstance(getattr(node, "back", None), LayerBack):
            yield node
            continue
        for other in before(node):
            if other not in seen:
                seen.add(other)
                waiting.append(other)


def behind(tensor: torch.Tensor) -> Iterator[Any]:
    """The nodes of the linear layers that a tensor comes from with no other linear layer between."""
    return first_layers(tensor.grad_fn, lambda node: (other for other, _ in node.next_functions))
