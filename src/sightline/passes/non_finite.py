"""Where NaN or infinity begins in a network: looked for only where an error is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from sightline.errors import NonFiniteError
from sightline.models.taps import Event, watch


def finite(tensor: torch.Tensor, what: str, where: Callable[[], str] = lambda: "") -> torch.Tensor:
    """The tensor itself.

    Args:
        tensor: `b …`.
        what: it is, in words.
        where: tells where the first of it was lost, in words that follow a comma; asked only if it was.

    Raises:
        NonFiniteError: it holds NaN or infinity.
    """
    if not torch.isfinite(tensor).all():
        raise NonFiniteError(f"the network gave a {what} that is NaN or infinite{where()}")
    return tensor


def lost_forward(network: nn.Module | None, ask: Callable[[], object]) -> str:
    """What first holds NaN or infinity: the weights, or a layer's answer when the network is asked again.

    Args:
        network: whose layers are watched.
        ask: calls it.
    """
    if network is None:
        return ""
    weights = (name for name, value in network.named_parameters() if not torch.isfinite(value).all())
    if (name := next(weights, None)) is not None:
        return f": so are its weights, {name!r} first"
    with torch.no_grad(), watch(network) as events:
        ask()
    lost = next((event for event in events if not torch.isfinite(event.output).all()), None)
    if lost is None:
        return ""
    half = f", whose {_name(lost.output)} numbers end at {torch.finfo(lost.output.dtype).max:.3g}: give the network in "
    return f", first in layer {_called(lost)}" + (f"{half}float32" if lost.output.dtype == torch.float16 else "")


def lost_back(events: Sequence[Event], total: torch.Tensor) -> str:
    """Between which layers a gradient stops being finite on its way back.

    Args:
        events: of the pass.
        total: the sum of the scores, with its graph.
    """
    passed = [event for event in events if event.output.requires_grad]
    found = torch.autograd.grad(total, [event.output for event in passed], allow_unused=True)
    last: Event | None = None
    for event, gradient in zip(reversed(passed), reversed(found), strict=True):
        if gradient is None:
            continue
        if not torch.isfinite(gradient).all():
            return _between(last, f"at layer {_called(event)}")
        last = event
    return _between(last, "at the pixels")


def _between(last: Event | None, lost: str) -> str:
    if last is None:
        return f": it is lost {lost}"
    norm = "norm" in type(last.module).__name__.lower()
    why = ", a normalisation, which divides by next to nothing where all values are alike" if norm else ""
    return f": on the way back it is finite at layer {_called(last)} and no longer {lost}{why}"


def _called(event: Event) -> str:
    return f"{event.name!r} ({type(event.module).__name__})"


def _name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
