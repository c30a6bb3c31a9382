"""Maps of a network whose layers lose what they have learnt, one group after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from sightline.errors import NotSupportedError
from sightline.evaluation.base import Question
from sightline.evaluation.sanity.redrawn import copy_of, from_the_top, redraw
from sightline.passes.memory import MEMORY
from sightline.passes.passes import Passes

Order = Literal["top-down", "bottom-up", "independent"]
_PRIME = 1_000_003  # neighbouring seeds do not meet before so many layers


def groups(passes: Passes, question: Question, order: Order, most: int) -> list[list[str]]:
    """The layers with parameters in the order in which they are drawn anew, in at most `most` groups; 0: one a layer.

    Raises:
        NotSupportedError: the classifier is a function, or has no parameters.
    """
    network = passes.network
    if network is None:
        raise NotSupportedError(
            f"{passes.classifier.name!r} is a function, and its parameters cannot be drawn anew: give the nn.Module"
        )
    if not passes.knows(question.pixels):
        with passes.shared(question.pixels):  # a pass that is watched tells the order of the layers
            pass
    survey = MEMORY.survey(network, question.pixels)
    assert survey is not None
    names = from_the_top(network, survey)
    if not names:
        raise NotSupportedError(f"{passes.classifier.name!r} has no parameters that could be drawn anew")
    if order == "bottom-up":
        names.reverse()
    count = min(most or len(names), len(names))
    return [list(part) for part in np.array_split(np.array(names, dtype=object), count)]


@contextmanager
def redrawn(passes: Passes, each: list[list[str]], seed: int, *, independent: bool) -> Iterator[Iterator[Passes]]:
    """Passes of a copy, once for each group: drawn anew besides those before it, or alone.

    A layer's parameters depend on the seed and on its name's place in the list, not on the groups.
    """
    network = passes.network
    assert network is not None
    with torch.inference_mode(False):  # what is copied in it could not be drawn anew
        other = copy_of(network, passes.classifier.name)
    modules = dict(other.named_modules())
    with passes.beside(replace(passes.classifier, function=other, head=passes.head)) as passes_of_copy:

        def one_by_one() -> Iterator[Passes]:
            done = 0
            for names in each:
                kept = [_state(modules[name]) for name in names] if independent else []
                for name in names:
                    with torch.inference_mode(False):
                        redraw(modules[name], torch.Generator().manual_seed((seed * _PRIME + done) % (1 << 63)))
                    done += 1
                yield passes_of_copy
                for name, state in zip(names, kept, strict=False):
                    _put_back(modules[name], state)

        yield one_by_one()


def _state(module: nn.Module) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in _own(module)]


@torch.no_grad()
def _put_back(module: nn.Module, state: list[torch.Tensor]) -> None:
    for tensor, before in zip(_own(module), state, strict=True):
        tensor.data.copy_(before)


def _own(module: nn.Module) -> list[torch.Tensor]:
    """The module's own parameters and buffers."""
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]
