"""Looking inside a network while it runs. The only file that registers hooks.

Hooks live inside a `with` block and are gone on every way out, also when the network raises in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, eq=False)
class Event:
    """One module's answer during one pass."""

    name: str
    module: nn.Module
    output: torch.Tensor
    version: int

    @property
    def overwritten(self) -> bool:
        """Whether a later operation changed the output in place, so that it no longer is what the module gave."""
        return self.output._version != self.version


def visible(network: nn.Module) -> dict[str, nn.Module]:
    """The modules inside a network that can be watched, by name; compiled TorchScript takes no hooks."""
    return {
        name: module
        for name, module in network.named_modules()
        if name and not isinstance(module, torch.jit.ScriptModule)
    }


@contextmanager
def watch(network: nn.Module) -> Iterator[list[Event]]:
    """All modules' answers in the order in which they are finished; nothing is copied."""
    events: list[Event] = []

    def hook_for(name: str) -> Any:
        def hook(module: nn.Module, _given: Any, output: Any) -> None:
            tensor = _first_tensor(output)
            if tensor is not None:
                events.append(Event(name, module, tensor, tensor._version))

        return hook

    with ExitStack() as undo:
        for name, module in visible(network).items():
            undo.callback(module.register_forward_hook(hook_for(name)).remove)
        yield events


@contextmanager
def capture(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, list[torch.Tensor]]]:
    """The answers of the named modules in the latest pass, one tensor a call, safe from in-place operations further on.

    Where the graph has not begun yet, it begins at the captured tensor: gradients of the scores then reach the layer,
    and nothing before it is kept.
    """
    found: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    modules = dict(network.named_modules())

    def forget(_network: nn.Module, _given: Any) -> None:
        for calls in found.values():
            calls.clear()

    def hook_for(name: str) -> Any:
        def hook(_module: nn.Module, _given: Any, output: Any) -> Any:
            tensor = _first_tensor(output)
            if tensor is None:
                return None
            if torch.is_grad_enabled() and not tensor.requires_grad and tensor.is_floating_point():
                tensor = tensor.detach().requires_grad_()
            found[name].append(tensor)
            # What runs on is a copy: an in-place ReLU after this layer writes into the copy, not into our tensor.
            return _with_first_tensor(output, tensor.clone())

        return hook

    with ExitStack() as undo:
        undo.callback(network.register_forward_pre_hook(forget).remove)
        for name in found:
            undo.callback(modules[name].register_forward_hook(hook_for(name)).remove)
        yield found


@contextmanager
def replace(network: nn.Module, name: str, new: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """The named module hands on what `new` makes of its answer; the batch may be wider from there on."""

    def hook(_module: nn.Module, _given: Any, output: Any) -> Any:
        tensor = _first_tensor(output)
        return None if tensor is None else _with_first_tensor(output, new(tensor))

    with ExitStack() as undo:
        undo.callback(network.get_submodule(name).register_forward_hook(hook).remove)
        yield


def _first_tensor(output: Any) -> torch.Tensor | None:
    """The tensor that a module hands on: the output itself, or the first in a tuple (Hugging Face blocks)."""
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, torch.Tensor) else None


def _with_first_tensor(output: Any, tensor: torch.Tensor) -> Any:
    if isinstance(output, torch.Tensor):
        return tensor
    rest = (tensor, *output[1:])
    if hasattr(output, "_fields"):
        return type(output)(*rest)
    return type(output)(rest)
