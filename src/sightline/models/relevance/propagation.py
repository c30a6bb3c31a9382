"""A network's pass taken over, so that its "gradients" are relevance; the network itself is not touched.

Calls of torch's functions are taken over where they are made (`operations.py`), so that it makes no difference whether
a layer is a module, used once or often, or a function. When the pass is over, autograd's record of it is read: where
anything stands between picture and score that relevance is not defined for, the network is refused by name. Relevance
that is quietly a gradient cannot come out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from sightline.errors import NotSupportedError
from sightline.models.graph import POOLS, SUMS_AND_VIEWS, name_of, on_the_way, words_for
from sightline.models.relevance.calls import Call, Engine, is_part
from sightline.models.relevance.composites import Composite
from sightline.models.relevance.layer_rules import Box
from sightline.models.relevance.operations import ACTIVATIONS, OPERATIONS
from sightline.models.relevance.steps import Propagated, behind

_WRITING = frozenset({"iadd", "isub", "imul", "itruediv"})
_SUMS = frozenset({"Add", "Sub", "Rsub", "Neg", "Sum", "Mean", "Cumsum", "Col2Im"})
_AVERAGES = ("AvgPool", "AdaptiveAvgPool", "MkldnnAdaptiveAvgPool", "Upsample")
_HANDS_ON = POOLS | {name for name in SUMS_AND_VIEWS - _SUMS if not name.startswith(_AVERAGES)} | {Propagated.__name__}
"""Operations that move values about, or choose among them; those that add them up need a rule."""

_OF_TRANSFORMERS = {"attention", "layer-norm", "bmm", "mul", "softmax", "safe-softmax", "addmm", "add"}
"""What attn-lrp has rules for, in words; the last two are of torch's own attention, which runs as one function."""


class _Mode(TorchFunctionMode):
    """Takes over the calls that a network makes of torch."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.operations = {**OPERATIONS, **engine.composite.operations}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if (steps := self.engine.composite.written_out.get(function)) is not None and torch.is_grad_enabled():
            with self:  # each of the steps is a call of its own
                return steps(*args, **kwargs)
        own_name = getattr(function, "__name__", "")
        handler = self.operations.get(own_name.strip("_")) if torch.is_grad_enabled() else None
        if handler is None or not any(is_part(value) for value in (*args, *kwargs.values())):
            return function(*args, **kwargs)
        call = Call(function, own_name.strip("_"), args, kwargs, self.engine)
        answer = handler(call)
        if answer is None:
            return function(*args, **kwargs)
        return call.argument(0, "input").copy_(answer) if _in_place(own_name, call) else answer


@contextmanager
def propagating(composite: Composite, box: Box) -> Iterator[Callable[[torch.Tensor, torch.Tensor, str], None]]:
    """What autograd takes back through what runs inside the block is relevance.

    Args:
        composite: which rule each layer goes by.
        box: the lowest and highest value of a pixel, `c h w` each.

    Yields:
        a check to be called with the scores, the tensor that relevance is asked at, and the network's name, before
        anything is taken back; it raises `NotSupportedError` where anything between them is not defined.
    """

    def check(scores: torch.Tensor, end: torch.Tensor, network: str) -> None:
        others = Counter(words_for(name) for name in map(name_of, on_the_way(scores, end)) if name not in _HANDS_ON)
        if others:
            words = ", ".join(f"{name} ({times}×)" for name, times in others.most_common(4))
            head = set(others) <= {"sigmoid", "softmax", "log-softmax"}
            way_out = "give the network without it" if head else "use integrated-gradients or a class activation map"
            theirs = {"attention", "layer-norm"} & set(others) and set(others) <= _OF_TRANSFORMERS
            if theirs and not composite.written_out:
                way_out = "use attn-lrp, whose rules are made for it"
            raise NotSupportedError(f"relevance propagation is not defined for {words}, as in {network!r}: {way_out}")
        for node in behind(scores):
            node.back.last = True

    with _Mode(Engine(composite, box, WeakTensorKeyDictionary())):
        yield check


def _in_place(own_name: str, call: Call) -> bool:
    """Whether the call writes into its first argument."""
    if own_name.endswith("_") and not own_name.endswith("__"):
        return True
    by_place = call.name in ACTIVATIONS and call.args[-1] is True
    return call.name in _WRITING or by_place or bool(call.kwargs.get("inplace"))
