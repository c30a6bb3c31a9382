"""What a user gives as a network: anything that can be called, without what wraps it, with weights that are here."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from sightline.errors import ModelError
from sightline.models.exported import Exported, is_exported
from sightline.models.from_keras import is_keras_model
from sightline.models.quiet import unwrapped

_SHARDED = {"FullyShardedDataParallel", "FSDPModule"}
"""Wrappers by name: torch.distributed is not there in every build."""


def network_given(function: Any) -> Any:
    """The network or function that will be called, without what wraps it.

    Raises:
        ModelError: it cannot be called, or its weights are not here.
    """
    if is_exported(function):
        function = Exported(function)
    if isinstance(function, type) or not callable(function):
        given = f"the class {function.__name__}: make one of it" if isinstance(function, type) else f"{function!r:.80}"
        raise ModelError(f"a network is an nn.Module or a callable from pixels to scores, got {given}")
    if not isinstance(function, nn.Module):
        return function
    network = unwrapped(function)
    _check_values(network)
    return network


def name_of(function: Any) -> str:
    """What a network or function calls itself."""
    kind = type(function).__name__
    if is_keras_model(function):
        return str(getattr(function, "name", kind))
    return kind if isinstance(function, nn.Module) else str(getattr(function, "__name__", kind))


def _check_values(network: nn.Module) -> None:
    """Refuse a network whose weights are not here: sharded, on the meta device, or of lazy layers that never ran."""
    for module in network.modules():
        if _SHARDED & {base.__name__ for base in type(module).__mro__}:
            raise ModelError("the network is sharded over processes (FSDP): gather its weights into a plain network")
    for name, value in network.named_parameters():
        if is_lazy(value):
            raise ModelError(f"{name} has no shape yet: call the network once on a picture before it is explained")
        if value.is_meta:
            raise ModelError(f"{name} has no values, it is on the meta device: load the weights before")
