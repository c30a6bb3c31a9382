"""What a network is at this moment: two equal fingerprints mean that a program made from it still stands for it.

Users change networks between questions: they load weights, shuffle layers in sanity checks, train on. torch's own
version counters do not see an edit by `.data`, so the bits of every tensor are read (CRC-32; 11 ms for 25 million
weights on two threads). Numbers, texts and functions that modules hold count as well. What lies outside of the modules
(a global, a closure) is not seen here: for that every question is begun by asking the network about a small picture of
noise, the answer to which is known.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))  # among them `training`, which is off while we ask
_DEEPEST = 4  # of objects within objects, such as a configuration
_PLAIN = frozenset({int, bool, str, type(None)})  # what most settings are; equal ones of one type are the same
_LARGE = 1 << 16  # bytes of a tensor from which a thread of its own reads it faster than it is told to


def fingerprint(network: nn.Module) -> Hashable:
    """The structure, the weights and the settings of a network as a value to be compared; holds no tensor of it."""
    reader = _Reader(_sums(network))
    return tuple((name, reader.module(module)) for name, module in network.named_modules())


class _Reader:
    """Reads one network; an object that many modules share, such as a configuration, is read once."""

    def __init__(self, sums: Mapping[int, int]) -> None:
        self._objects: dict[int, Hashable] = {}
        self._sums = sums

    def module(self, module: nn.Module) -> Hashable:
        tensors = [*module._parameters.items(), *module._buffers.items()]
        own = {name: value for name, value in vars(module).items() if name not in _OF_EVERY_MODULE}
        return (
            _kind(module),
            id(type(module).forward),
            tuple((name, None if tensor is None else self._bits(tensor)) for name, tensor in tensors),
            self.value(own, _DEEPEST),
        )

    def value(self, value: Any, depth: int) -> Hashable:
        """A value as something that can be compared later, though it may be changed in place until then."""
        if type(value) in _PLAIN:
            return type(value), value
        if isinstance(value, tuple | list | set | frozenset):
            return _kind(value) if depth == 0 else tuple(self.value(one, depth - 1) for one in value)
        if isinstance(value, torch.Tensor):
            return self._bits(value)
        if isinstance(value, Mapping):
            return self.value([part for item in value.items() for part in item], depth)
        return self._other(value, depth)

    def _other(self, value: Any, depth: int) -> Hashable:
        if isinstance(value, np.ndarray):
            return value.shape, str(value.dtype), zlib.crc32(np.ascontiguousarray(value).tobytes())
        if isinstance(value, FunctionType | MethodType | type):
            # By number and not by itself: a method would keep the network alive. Numbers are used again, code less so.
            return id(getattr(value, "__func__", value)), hash(getattr(value, "__code__", None))
        if isinstance(value, partial):
            return self.value([value.func, value.args, value.keywords], depth)
        if not hasattr(value, "__dict__"):
            return repr(value)
        return _kind(value) if depth == 0 else self._object(value, depth - 1)

    def _object(self, value: Any, depth: int) -> Hashable:
        if id(value) not in self._objects:
            self._objects[id(value)] = _kind(value)  # should it hold itself
            self._objects[id(value)] = _kind(value), self.value(vars(value), depth)
        return self._objects[id(value)]

    def _bits(self, tensor: torch.Tensor) -> Hashable:
        known = self._sums.get(id(tensor))
        return tuple(tensor.shape), tensor.dtype, _sum(tensor) if known is None else known


def _sums(network: nn.Module) -> dict[int, int]:
    """The checksums of the large tensors by `id`, several at once: zlib lets other threads run."""
    large = [one for one in [*network.parameters(), *network.buffers()] if one.numel() * one.element_size() >= _LARGE]
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        return dict(zip(map(id, large), threads.map(_sum, large), strict=True))


def _sum(tensor: torch.Tensor) -> int:
    values = tensor.detach().cpu().contiguous().reshape(-1)
    return zlib.crc32(values.view(torch.uint8).numpy().data) if len(values) else 0


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
