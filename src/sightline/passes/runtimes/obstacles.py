"""What keeps a network from being run by a compiled program: things it does that a trace of one pass would not repeat.

A trace keeps the tensor operations of one pass. Where Python looked at a tensor's numbers to decide what to do next,
where random numbers were drawn, or where the pass changed the network itself, another pass would be another program.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from sightline.models.classifier import Classifier
from sightline.passes.runtimes.fingerprint import fingerprint
from sightline.types import Pixels

_READS = frozenset({torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.__array__})
_DECIDED_BY_DATA = frozenset({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape})
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def hooked(network: nn.Module) -> bool:
    """Whether something listens to, or takes part in, the calls of the network's modules; a program would not call it.

    Hooks on gradients do not count: where no gradient is asked for, they are not called anyway.
    """
    everywhere = nn.modules.module
    return bool(
        everywhere._global_forward_hooks
        or everywhere._global_forward_pre_hooks
        or any(getattr(module, hooks) for module in network.modules() for hooks in _HOOKS)
    )


def unlike_float32(network: nn.Module) -> str | None:
    """The weights that are not plain float32 in memory, in words; None where all are."""
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            return f"{name} is not a plain tensor in memory"
        if tensor.is_floating_point() and tensor.dtype is not torch.float32:
            return f"{name} is {str(tensor.dtype).removeprefix('torch.')}"
    return None


def untraceable(network: nn.Module, classifier: Classifier, pixels: Pixels, before: Hashable) -> str | None:
    """What a pass over a few pictures does that a trace would not repeat, in words; None where there is nothing.

    Args:
        network: the module that is called.
        classifier: how it is called.
        pixels: a few pictures, `b c h w`.
        before: the network's fingerprint.
    """
    reads, operations = _Reads(), _Operations()
    with reads, operations:
        classifier.raw_scores(pixels.clone())
    if reads.seen or operations.decided:
        return f"its forward looks at numbers of the picture to decide what to do ({reads.seen or operations.decided})"
    if operations.random:
        return f"its forward draws random numbers ({operations.random})"
    return "its forward changes the network itself" if fingerprint(network) != before else None


class _Reads(TorchFunctionMode):
    """Notes the methods that hand a tensor's numbers to Python without an operation of torch."""

    seen = ""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in _READS:
            self.seen = function.__name__
        return function(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    """Notes operations that draw random numbers, and those whose answer's shape or value Python may go by."""

    decided = random = ""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in function.tags and not _without_dropout(function, args, kwargs or {}):
            self.random = str(function)
        elif _DECIDED_BY_DATA & set(function.tags) and not _plain_lookup(function, args):
            self.decided = str(function)
        return function(*args, **(kwargs or {}))


def _without_dropout(function: Any, args: Any, kwargs: Any) -> bool:
    """Attention, which is among what draws random numbers, where its dropout is off."""
    names = [argument.name for argument in function._schema.arguments]
    if "dropout_p" not in names:
        return False
    place = names.index("dropout_p")
    given = (
        args[place] if place < len(args) else kwargs.get("dropout_p", function._schema.arguments[place].default_value)
    )
    return given in (0, None)


def _plain_lookup(function: Any, args: Any) -> bool:
    """An index by whole numbers, such as a table of relative positions: its shape is the index's own."""
    if function is not torch.ops.aten.index.Tensor:
        return False
    return all(index is None or index.dtype not in (torch.bool, torch.uint8) for index in args[1])
