"""A network made quiet for explaining, and left exactly as it was found on every way out.

Inside `quiet`, dropout is off, batch normalisation uses its stored statistics and moves none of them, and no parameter
asks for a gradient. Modes are set on the modules' own flags: a wrapper's overridden `train()` or `eval()`, which may
do anything, is never called.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(eq=False)
class _Hold:
    """Who holds one network quiet: the thread, how often, and what puts it back."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    times: int = 0
    undo: ExitStack = field(default_factory=ExitStack)


_HOLDS: WeakKeyDictionary[nn.Module, _Hold] = WeakKeyDictionary()
_HOLDS_LOCK = threading.Lock()


@contextmanager
def quiet(network: nn.Module | None) -> Iterator[None]:
    """The network in evaluation mode with frozen parameters; one thread at a time for each network.

    Several blocks of one thread may overlap in any order: the first to begin makes the network quiet, the last to end
    puts it back.
    """
    if network is None:
        yield
        return
    with _HOLDS_LOCK:
        hold = _HOLDS.setdefault(network, _Hold())
    with hold.lock:
        hold.times += 1
        try:
            if hold.times == 1:
                _hush(network, hold.undo)
            yield
        finally:
            hold.times -= 1
            if hold.times == 0:
                hold.undo.close()


def mixes_batch_mates(network: nn.Module | None) -> bool:
    """Whether a picture's scores depend on its batch mates even in evaluation mode.

    Batch normalisation without stored statistics takes them from the batch at hand; such networks are run one picture
    at a time, as are those that a file holds with a batch of one built in (`one_picture_at_a_time`).
    """
    modules = network.modules() if network is not None else ()
    return any(
        getattr(module, "one_picture_at_a_time", False)
        or (isinstance(module, _BatchNorm) and module.running_mean is None)
        for module in modules
    )


def unwrapped(network: nn.Module) -> nn.Module:
    """The network itself: compiled code ignores hooks that come after it was made, parallel wrappers split batches."""
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        elif isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):
            network = inner
        else:
            return network


def _hush(network: nn.Module, undo: ExitStack) -> None:
    _unwrap_inside(network, undo)
    _ordinary(network, undo)
    for module in network.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                undo.callback(_restore_buffer, module, name, buffer, buffer.clone())
        undo.callback(setattr, module, "training", module.training)
        module.training = False
    for parameter in network.parameters():
        if parameter.requires_grad:
            undo.callback(parameter.requires_grad_, True)
            parameter.requires_grad_(False)


def _unwrap_inside(network: nn.Module, undo: ExitStack) -> None:
    """Put what is compiled or parallel inside the network aside, so that its own modules are called."""
    for module in list(network.modules()):
        if getattr(module, "_compiled_call_impl", None) is not None:  # by `network.compile()`
            undo.callback(setattr, module, "_compiled_call_impl", module._compiled_call_impl)
            module._compiled_call_impl = None
        for name, child in module._modules.items():
            if child is not None and (own := unwrapped(child)) is not child:
                undo.callback(module._modules.__setitem__, name, child)
                module._modules[name] = own


def _ordinary(network: nn.Module, undo: ExitStack) -> None:
    """Put copies in the place of tensors made in inference mode, which can take no part in a gradient."""
    copies: dict[int, torch.Tensor] = {}
    with torch.inference_mode(False):
        for module in network.modules():
            tables: tuple[tuple[dict[str, Any], bool], ...] = ((module._parameters, True), (module._buffers, False))
            for held, trained in tables:
                for name, tensor in held.items():
                    if tensor is not None and tensor.is_inference():
                        made = copies.setdefault(id(tensor), tensor.clone())
                        undo.callback(held.__setitem__, name, tensor)
                        held[name] = nn.Parameter(made, requires_grad=False) if trained else made


def _restore_buffer(module: nn.Module, name: str, buffer: torch.Tensor, before: torch.Tensor) -> None:
    """Put back what a forward pass wrote into a buffer, or put in its place (a module may count its calls)."""
    module._buffers[name] = buffer
    with torch.inference_mode(buffer.is_inference()), torch.no_grad():
        if buffer.shape != before.shape:
            buffer.resize_(before.shape)
        if not torch.equal(buffer, before):
            buffer.copy_(before)
