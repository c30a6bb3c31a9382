"""A call of one of torch's functions, as those that take it over see it (`operations.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from sightline.models.graph import name_of
from sightline.models.relevance.affine import Affine
from sightline.models.relevance.composites import Composite
from sightline.models.relevance.layer_rules import Box
from sightline.models.relevance.steps import Merge, propagated

PASSAGES = frozenset({
    "View", "Reshape", "ReshapeAlias", "UnsafeView", "Unsqueeze", "Squeeze", "Expand", "Transpose", "Permute", "Clone",
    "ToCopy", "Alias",
})  # fmt: skip
COPIES = frozenset({"Clone", "ToCopy", "Alias", "CopyBackwards"})
SAME_ORDER = (PASSAGES | COPIES) - {"Expand", "Transpose", "Permute"}
"""Operations that a tensor's values come through as they are; those that copy; those that keep their order."""


@dataclass(frozen=True, eq=False)
class Made:
    """A linear layer's answer, which may still meet a batch normalisation.

    Attributes:
        layer: the layer.
        given: what it was given.
        first: whether no other linear layer stands before it.
        box: the lowest and highest value of what it was given, where they are known.
        ahead: takes a normalisation that stands before the layer into it, if one does.
        versions: of what it was given and of its answer, then: whatever is written into either since is told by them.
    """

    layer: Affine
    given: torch.Tensor
    first: bool
    box: Box
    ahead: Merge | None
    versions: tuple[int, int]

    def untouched(self, answer: torch.Tensor) -> bool:
        """Whether nothing was written since into what the layer was given, or into its answer."""
        return self.versions == (self.given._version, answer._version)


@dataclass(frozen=True, eq=False)
class Engine:
    """What a whole pass shares.

    Attributes:
        composite: which rule each layer goes by.
        box: the lowest and highest value of each pixel, `c h w` each.
        made: `Made` by the layers' answers.
    """

    composite: Composite
    box: Box
    made: WeakTensorKeyDictionary


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a function of torch."""

    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    engine: Engine

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument, however it was given."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    def on(self, given: torch.Tensor) -> Any:
        """The same call with another first argument."""
        return self.rest()(given)

    def rest(self) -> Callable[[torch.Tensor], Any]:
        """The call without its first argument, which it does not keep alive."""
        function, args = self.function, self.args[1:]
        kwargs = {key: value for key, value in self.kwargs.items() if key != "input"}
        return lambda given: function(given, *args, **kwargs)


Handler: TypeAlias = "Callable[[Call], torch.Tensor | None]"
"""Takes a call over, or says None: then torch answers, and the check finds what it did."""


def is_part(value: Any) -> bool:
    """Whether a value comes from the picture; a parameter does not, though it may ask for a gradient of its own."""
    return isinstance(value, torch.Tensor) and value.requires_grad and not isinstance(value, torch.nn.Parameter)


@dataclass(frozen=True, eq=False)
class HandedOn:
    """The way back through a step that hands relevance on as it is.

    Attributes:
        back: to the shape of what the step was given.
        again: the step itself, where it keeps the order of values, or turns it round: so it tells their ends, too.
        rectifies: whether the step is a ReLU.
    """

    back: Callable[[torch.Tensor], torch.Tensor]
    again: Callable[[torch.Tensor], torch.Tensor] | None = None
    rectifies: bool = False

    def __call__(self, relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return (self.back(relevance),)


def handed_on(
    given: torch.Tensor,
    answer: Callable[[torch.Tensor], torch.Tensor],
    back: Callable[[torch.Tensor], torch.Tensor] | None = None,
    *,
    monotone: bool = False,
    rectifies: bool = False,
) -> torch.Tensor:
    """A step that hands relevance on as it is.

    Args:
        given: what it was given.
        answer: what it makes of that.
        back: the way back; by default relevance is summed where what was given was repeated to fit.
        monotone: whether `answer` keeps the order of values or turns it round; it must not hold on to `given`.
        rectifies: whether `answer` is a ReLU's.
    """
    shape = given.shape
    way = HandedOn(back or (lambda relevance: relevance.sum_to_size(shape)), answer if monotone else None, rectifies)
    return propagated(lambda own: (answer(own), way), given)


def origin(tensor: torch.Tensor, past: frozenset[str] = PASSAGES) -> str:
    """The operation that a tensor comes from, past views and copies; nothing for a leaf."""
    node: Any = tensor.grad_fn
    while node is not None and name_of(node) in past:
        node = node.next_functions[0][0]
    return "" if node is None else name_of(node)
