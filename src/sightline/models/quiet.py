"""A network made quiet for explaining, and left exactly as it was found on every way out.

Inside `quiet`, dropout is off, batch normalisation uses its stored statistics and moves none of them, and no parameter
asks for a gradient. Modes are set on the modules' own flags: a wrapper's overridden `train()` or `eval()`, which may
do anything, is never called.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()


@contextmanager
def quiet(network: nn.Module | None) -> Iterator[None]:
    """The network in evaluation mode with frozen parameters; one thread at a time for each network."""
    if network is None:
        yield
        return
    with ExitStack() as undo:
        undo.enter_context(_lock_of(network))
        # Inference mode is left first: tensors made in it could not take part in a gradient.
        undo.enter_context(torch.inference_mode(False))
        undo.callback(_restore_buffers, network, {name: value.clone() for name, value in network.named_buffers()})
        for module in network.modules():
            undo.callback(setattr, module, "training", module.training)
            module.training = False
        for parameter in network.parameters():
            if parameter.requires_grad:
                undo.callback(parameter.requires_grad_, True)
                parameter.requires_grad_(False)
        yield


def mixes_batch_mates(network: nn.Module | None) -> bool:
    """Whether a picture's scores depend on its batch mates even in evaluation mode.

    Batch normalisation without stored statistics takes them from the batch at hand; such networks are run one picture
    at a time.
    """
    modules = network.modules() if network is not None else ()
    return any(isinstance(module, _BatchNorm) and module.running_mean is None for module in modules)


def _lock_of(network: nn.Module) -> threading.RLock:
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(network, threading.RLock())


def _restore_buffers(network: nn.Module, before: dict[str, torch.Tensor]) -> None:
    """Put back what a forward pass wrote into buffers (a module may count its calls in any mode)."""
    with torch.no_grad():
        for name, value in network.named_buffers():
            if name in before and not _same(value, before[name]):
                value.copy_(before[name])


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))
