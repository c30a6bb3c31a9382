"""The layout in memory in which a batch is handed to a network: channels last where that is faster and changes nothing.

Convolutions on a processor and on a GPU are faster when the channels of a pixel lie side by side. What a network gives
is the same up to rounding, since torch's operations are defined on values and not on their places in memory. Two kinds
of code are not: what reads memory itself (`as_strided`, operators from outside of torch), and `view`, which refuses.
Both show in a first pass, and such a network is given its batches as before.

Forward questions are asked so, and the steps of an optimisation. Gradients at the pixels of a ReLU network move by some
thousandths with any other order of summing, since what lies near zero falls on two sides of a ReLU: a map made of them
is asked for with the bits that the network gives as it stands (`same_bits.py`), and so equals another package's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch._ops import OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode

from sightline.errors import ModelError
from sightline.types import Pixels, Scores

_PICTURES, _VALUES = 4, 1 << 17
"""Below so many pictures, or values in all, at once, turning the weights round costs what the layout gains."""

_OF_MEMORY = frozenset({
    "as_strided", "as_strided_", "as_strided_copy", "as_strided_scatter", "as_strided.default", "data_ptr", "stride",
    "storage", "untyped_storage", "_typed_storage", "storage_offset", "set_",
})  # fmt: skip
"""Calls whose answers depend on where values lie."""

_KNOWN: WeakKeyDictionary[nn.Module, tuple[int, bool]] = WeakKeyDictionary()
"""Whether a network, as it was built then, may be given another layout; forgotten with the network."""


def ask_in_layout(network: nn.Module | None, pixels: Pixels, ask: Callable[[torch.memory_format], Scores]) -> Scores:
    """The scores that `ask` gives for pixels, `b c h w`, in the layout that suits the network and them.

    The first batch of a network is watched: where it does more than torch's own operations on values, or refuses the
    layout, it is asked again, with the pixels as they came.
    """
    if not gains(network, pixels):
        return ask(torch.preserve_format)
    assert network is not None
    now = built(network)
    known = _KNOWN.get(network)
    if known is not None and known[0] == now:
        return ask(torch.channels_last if known[1] else torch.preserve_format)
    watching = WatchingMemory()
    try:
        with watching:
            scores = ask(torch.channels_last)
    except ModelError:
        watching.reads = True
    _KNOWN[network] = now, not watching.reads
    return ask(torch.preserve_format) if watching.reads else scores


def built(network: nn.Module) -> int:
    """What modules a network has now, as a number."""
    return hash(tuple(type(module) for module in network.modules()))


def gains(network: nn.Module | None, pixels: Pixels) -> bool:
    """Whether such pixels, `b c h w`, are many enough, and the network one of convolutions that can be watched."""
    if network is None or pixels.ndim != 4 or len(pixels) < _PICTURES or pixels.numel() < _VALUES:
        return False
    if pixels.dtype == torch.float64:  # no convolution is made for it
        return False
    modules = list(network.modules())
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):  # nobody sees what compiled code calls
        return False
    return any(isinstance(module, nn.Conv2d) for module in modules)


def compiled(network: nn.Module) -> bool:
    """Whether a compiler would see what is done here as part of the network."""
    return any(module._compiled_call_impl is not None or hasattr(module, "_orig_mod") for module in network.modules())


class WatchingMemory(TorchFunctionMode):
    """Sees every call of torch in a pass; whether one of them may depend on where values lie in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Operators from outside of torch are called by their full names, `library.operator`.
        outside = isinstance(func, OpOverload | OpOverloadPacket) and not str(func).startswith("aten.")
        if outside or getattr(func, "__name__", "") in _OF_MEMORY:
            self.reads = True
        return func(*args, **(kwargs or {}))
