"""Forward in the fast layout and yet the same to the last bit; backward in the fast layout throughout.

Between layouts in memory only some operations sum in another order: of a ResNet-50 the 3 × 3 convolutions and some of
the 1 × 1. A backward pass is linear once it is known which side of every ReLU each value fell on, so another order of
summing moves a gradient by 1e-7 there; in the forward pass the same difference puts values on another side, and moves a
map by thousandths (docs/decisions/0014). So the forward pass is run channels last, except for those operations that
were seen to give other bits with the shapes at hand: they get their pictures as the network would have had them. Nearly
all that the layout gains lies in the backward pass, and is kept. And a normalisation by stored statistics is run back
as what it is, a product with one number a channel, which torch takes a sixth of the whole backward pass for.

Nothing is taken on trust: each operation is tried once a shape in both layouts, and the whole pass is tried once a
network and shape of batch, all its results compared with those of the pass as given. A network that differs is asked as
given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from sightline.errors import ModelError
from sightline.passes.layouts import WatchingMemory, built, compiled, gains
from sightline.passes.turned import TurnedBack, norm, takes
from sightline.types import Pixels, Scores

Ask: TypeAlias = Callable[[torch.memory_format], Scores]

_SAME: dict[object, bool] = {}
"""Whether a function of torch gives the same bits in both layouts; by function, shapes, numbers and threads."""

_HOLDS: WeakKeyDictionary[nn.Module, dict[object, bool]] = WeakKeyDictionary()
"""Whether a network, as it was built then, gives the same bits for such batches; forgotten with the network."""


def ask_with_same_bits(network: nn.Module | None, pixels: Pixels, ask: Ask) -> Scores:
    """The scores that `ask` gives for pixels, `b c h w`, as given, with a graph that runs back in the fast layout."""
    if network is None or pixels.device.type != "cpu" or not gains(network, pixels) or compiled(network):
        return ask(torch.preserve_format)
    known = _HOLDS.setdefault(network, {})
    key = (built(network), tuple(pixels.shape), pixels.dtype, torch.get_num_threads())
    if key not in known:
        known[key] = _holds(ask)
    if not known[key]:
        return ask(torch.preserve_format)
    with _SameBits():
        return ask(torch.channels_last)


def _holds(ask: Ask) -> bool:
    """Whether every result on the way is the same, to the bit, as in the pass as given."""
    given, turned, memory = _Results(), _Results(), WatchingMemory()
    try:
        with torch.no_grad():
            with given:
                ask(torch.preserve_format)
            with _SameBits(), memory, turned:
                ask(torch.channels_last)
    except ModelError:
        return False
    return not memory.reads and given.seen == turned.seen


class _SameBits(TorchFunctionMode):
    """Runs what would give other bits channels last on its pictures as the network would have had them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not any(is_turned(value) for value in args):
            return func(*args, **kwargs)
        if func is functional.batch_norm and (found := norm(*args, **kwargs)) is not None:
            return found
        if not _sums(func):
            return func(*args, **kwargs)
        key = (func, torch.get_num_threads(), *map(_shape, tree_flatten((args, kwargs))[0]))
        if key not in _SAME:
            with torch.no_grad():
                _SAME[key] = _equal(func(*args, **kwargs), func(*tree_map(_straight, args), **kwargs))
        if _SAME[key]:
            return func(*args, **kwargs)
        if takes(func, args, kwargs):
            return TurnedBack.apply(*args)
        return tree_map(_turned, func(*tree_map(_straight, args), **kwargs))


class _Results(TorchFunctionMode):
    """Keeps of each result of a pass the function, the shape, and a sum over its bits."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") not in _MOVES:
            values = filter(_real, tree_flatten(results)[0])
            self.seen += [(func, tuple(value.shape), _bits(value)) for value in values]
        return results


_MOVES = frozenset({"clone", "copy_", "to", "contiguous", "detach", "empty_like", "__get__"})
"""Calls that bring values to another place, or look at a tensor."""

_EACH_ALONE = frozenset({
    "relu", "relu_", "relu6", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "threshold", "silu", "gelu", "elu",
    "hardswish", "hardsigmoid", "mish", "sigmoid", "tanh", "softplus", "add", "add_", "iadd", "__add__", "__iadd__",
    "sub", "mul", "mul_", "__mul__", "div", "neg", "abs", "clamp", "exp", "sqrt", "dropout", "dropout_", "cat", "size",
    "dim", "flatten", "reshape", "permute", "transpose", "chunk", "split", "unbind", "pad", "unsqueeze", "squeeze",
    "max_pool2d", "_max_pool2d", "__getitem__", "boolean_dispatch", "fn", "requires_grad_", "has_torch_function",
}) | _MOVES  # fmt: skip
"""Calls in which no values are summed: each result comes from one place, or from a choice, whatever the layout."""


def _sums(func: Any) -> bool:
    """Whether a function may sum values, so that their order in memory may show in what it gives."""
    return getattr(func, "__name__", "") not in _EACH_ALONE


def _real(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.numel() > 0


def is_turned(value: Any) -> bool:
    """Whether this is a batch of pictures with channels last, and not the same otherwise."""
    return (
        isinstance(value, torch.Tensor)
        and value.ndim == 4
        and not value.is_contiguous()
        and value.is_contiguous(memory_format=torch.channels_last)
    )


def _straight(value: Any) -> Any:
    return value.contiguous() if is_turned(value) else value


def _turned(value: Any) -> Any:
    pictures = isinstance(value, torch.Tensor) and value.ndim == 4
    return value.contiguous(memory_format=torch.channels_last) if pictures else value


def _shape(value: Any) -> object:
    return (tuple(value.shape), value.stride(), value.dtype) if isinstance(value, torch.Tensor) else repr(value)


def _equal(found: Any, plain: Any) -> bool:
    pairs = zip(tree_flatten(found)[0], tree_flatten(plain)[0], strict=True)
    return all(torch.equal(one, other) if _real(one) else True for one, other in pairs)


def _bits(value: torch.Tensor) -> int:
    """A sum over the bits of all values, in any order."""
    whole = value.detach().reshape(-1)
    words = whole.view(torch.int32) if value.element_size() == 4 else whole.clone().view(torch.uint8)
    return int(words.sum(dtype=torch.int64))
