"""Failures put into an explanation: at a hook's registration, in the passes, in the target, at the end."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from sightline.attribution.base import Maps
from sightline.models.targets import Target
from sightline.testing.case import replaced


class InjectedError(Exception):
    """A failure of ours, in the middle of an explanation."""


class InjectedInterrupt(KeyboardInterrupt):
    """Ctrl-C, in the middle of an explanation."""


_REGISTRATIONS = (
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
)


@contextmanager
def registrations(fail_at: int | None = None) -> Iterator[list[str]]:
    """Every registration of a hook on a module is listed; the one numbered `fail_at` raises."""
    made: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(nn.Module, name)

        def register(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if len(made) == fail_at:
                raise InjectedError(f"{name} number {fail_at}")
            made.append(name)
            return original(module, *args, **kwargs)

        return register

    with ExitStack() as undo:
        for name in _REGISTRATIONS:
            undo.enter_context(replaced(nn.Module, name, counted(name)))
        yield made


def failing_forward(leaf: nn.Module, error: type[BaseException] = InjectedError) -> Callable[[], None]:
    """The module raises when it is called; what is returned mends it."""

    def forward(*_args: Any, **_kwargs: Any) -> Any:
        raise error("in forward")

    leaf.forward = forward
    return lambda: delattr(leaf, "forward")


def failing_backward(leaf: nn.Module) -> tuple[Callable[[], None], list[bool]]:
    """The module's gradient raises; what is returned mends it, and holds something once it has raised."""
    original, exploded = leaf.forward, list[bool]()

    def explode(_gradient: torch.Tensor) -> None:
        exploded.append(True)
        raise InjectedError("in backward")

    def forward(*args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        if output.requires_grad:
            output.register_hook(explode)  # an operation of its own would be refused by methods that read the graph
        return output

    leaf.forward = forward
    return (lambda: delattr(leaf, "forward")), exploded


def stall(leaf: nn.Module, seconds: float) -> None:
    """The module takes a while, so that another thread comes in between."""
    original = leaf.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        return original(*args, **kwargs)

    leaf.forward = forward


@contextmanager
def failing_target() -> Iterator[None]:
    """The explained scalar raises."""
    with replaced(Target, "score", _raise):
        yield


@contextmanager
def failing_ending() -> Iterator[None]:
    """The map is found, and bringing it to the picture raises."""
    with replaced(Maps, "at_pixels", _raise):
        yield


def leaves(network: nn.Module, pixels: torch.Tensor) -> list[nn.Module]:
    """Modules without modules that run, in the order in which they first do."""
    trial, ran = copy.deepcopy(network), []
    for name, module in trial.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _module, _given, _output, name=name: ran.append(name))
    with torch.no_grad():
        trial(pixels)
    return [network.get_submodule(name) for name in dict.fromkeys(ran)]


def _raise(*_args: Any, **_kwargs: Any) -> Any:
    raise InjectedError("on the way out")
