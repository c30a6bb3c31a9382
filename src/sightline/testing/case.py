"""One method on one small network: what the checks ask of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sightline.attribution.base import Method
from sightline.attribution.result import Attribution
from sightline.errors import LayerError, NotSupportedError
from sightline.models.classifier import Classifier
from sightline.runs.explain import explain
from sightline.testing.networks import Specimen
from sightline.testing.state import State

E = TypeVar("E", bound=Exception)

REFUSALS = (NotSupportedError, LayerError)
"""How a method says that it is not defined for a network."""


@dataclass(frozen=True, eq=False)
class Case:
    """One method on one network."""

    method: Method
    specimen: Specimen

    def results(self, network: nn.Module, pixels: torch.Tensor, **options: Any) -> list[Attribution]:
        """The results for a batch of prepared pictures, explained in one call."""
        return results(self.method, self.specimen.wrapped(network), pixels, **options)

    def maps(self, network: nn.Module, pixels: torch.Tensor, **options: Any) -> NDArray[np.float32]:
        """The maps of a batch, `b h w`."""
        return np.stack([result.map for result in self.results(network, pixels, **options)])

    def fresh(self, **options: Any) -> NDArray[np.float32]:
        """The map of the first picture by a fresh network: what every other way must give."""
        return self.maps(self.specimen.build(), self.specimen.pixels(), **options)


def results(method: Method, network: nn.Module | Classifier, pixels: torch.Tensor, **options: Any) -> list[Attribution]:
    """The results for a batch of prepared pictures, explained in one call; by torch alone unless told otherwise.

    Whether a program is tried, whose trial is not counted, and which then answers in other last digits and stays with
    the network, is decided by the clock.
    """
    found = explain(network, list(pixels), [method], **{"runtime": "eager", **options})
    assert isinstance(found, list)
    return found


def peak_map(method: Method, network: nn.Module, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """The map of one picture as a tensor `h w`."""
    return torch.from_numpy(results(method, network, pixels, target=target)[0].map)


def same(one: NDArray[Any], other: NDArray[Any], tolerance: float, words: str) -> None:
    """Demand that two maps agree, relative to the largest value."""
    hold(one.shape == other.shape, f"{words}: shapes {one.shape} and {other.shape}")
    largest = float(max(np.abs(one).max(), np.abs(other).max()))
    apart = float(np.abs(one - other).max())
    hold(apart <= tolerance * largest, f"{words}: they differ by {apart:.3g} of {largest:.3g}")


@contextmanager
def left_as_found(network: nn.Module, pixels: torch.Tensor, words: str) -> Iterator[None]:
    """Demand that the block leaves the network, the input and the process as they were."""
    before = State.of(network, pixels)
    yield
    changed = State.of(network, pixels).changes(before)
    hold(not changed, f"{words}: changed {', '.join(changed[:5])}")


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute exchanged inside the block."""
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def hold(condition: object, words: str) -> None:
    """Demand something, also where Python runs without assertions."""
    if not condition:
        raise AssertionError(words)


def refusal(kind: type[E], ask: Callable[[], object], words: str) -> E:
    """Demand that something is refused, and give the error."""
    try:
        ask()
    except kind as error:
        return error
    raise AssertionError(f"{words}: not refused")
