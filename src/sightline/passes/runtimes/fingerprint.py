"""What a network is at this moment: two equal fingerprints mean that a program made from it still stands for it.

Users change networks between questions: they load weights, shuffle layers in sanity checks, train on. torch's own
version counters do not see an edit by `.data`, so the bits of every tensor are read (CRC-32; some 25 ms for 25 million
weights). Numbers, texts and functions that modules hold count as well. What lies outside of the modules (a global, a
closure) is not seen here: for that every question is begun by asking program and network about the same pictures.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))  # among them `training`, which is off while we ask
_DEEPEST = 4  # of objects within objects, such as a configuration


def fingerprint(network: nn.Module) -> Hashable:
    """The structure, the weights and the settings of a network as a value to be compared; holds no tensor of it."""
    reader = _Reader()
    return tuple((name, reader.module(module)) for name, module in network.named_modules())


class _Reader:
    """Reads one network; an object that many modules share, such as a configuration, is read once."""

    def __init__(self) -> None:
        self._objects: dict[int, Hashable] = {}

    def module(self, module: nn.Module) -> Hashable:
        tensors = [*module._parameters.items(), *module._buffers.items()]
        own = {name: value for name, value in vars(module).items() if name not in _OF_EVERY_MODULE}
        return (
            _kind(module),
            id(type(module).forward),
            tuple((name, None if tensor is None else _bits(tensor)) for name, tensor in tensors),
            self.value(own, _DEEPEST),
        )

    def value(self, value: Any, depth: int) -> Hashable:
        """A value as something that can be compared later, though it may be changed in place until then."""
        if isinstance(value, torch.Tensor):
            return _bits(value)
        if isinstance(value, np.ndarray):
            return value.shape, str(value.dtype), zlib.crc32(np.ascontiguousarray(value).tobytes())
        if isinstance(value, FunctionType | MethodType | type):
            # By number and not by itself: a method would keep the network alive. Numbers are used again, code less so.
            return id(getattr(value, "__func__", value)), hash(getattr(value, "__code__", None))
        if isinstance(value, Mapping):
            return self.value([part for item in value.items() for part in item], depth)
        if isinstance(value, partial):
            return self.value([value.func, value.args, value.keywords], depth)
        many = isinstance(value, list | tuple | set | frozenset)
        if not many and not hasattr(value, "__dict__"):
            return repr(value)
        if depth == 0:
            return _kind(value)
        return tuple(self.value(one, depth - 1) for one in value) if many else self._object(value, depth - 1)

    def _object(self, value: Any, depth: int) -> Hashable:
        if id(value) not in self._objects:
            self._objects[id(value)] = _kind(value)  # should it hold itself
            self._objects[id(value)] = _kind(value), self.value(vars(value), depth)
        return self._objects[id(value)]


def _bits(tensor: torch.Tensor) -> Hashable:
    values = tensor.detach().cpu().contiguous().reshape(-1)
    return tuple(tensor.shape), tensor.dtype, zlib.crc32(values.view(torch.uint8).numpy().data) if len(values) else 0


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
