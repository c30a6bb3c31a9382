"""The contract of a method on a network that is somebody's own: what can be asked without breaking or rebuilding it.

The small networks of the suite are rebuilt for every check, and failures are put into them. Here the network is one, it
may be large, and it is only ever asked; so fewer statements are made, each with a few calls, and sums in another order
may differ by more, since a deep network carries such differences on.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sightline.attribution.base import Method
from sightline.attribution.result import Attribution
from sightline.errors import CancelledError, SightlineError, TargetError, UsageError
from sightline.models.classifier import Classifier
from sightline.passes.passes import Passes
from sightline.testing.case import REFUSALS, hold, left_as_found, refusal, results
from sightline.testing.report import Cell, Report
from sightline.types import Pixels

_REPEATED, _TOGETHER = 1e-4, 0.02
"""How far a map may lie from itself, relative to its norm: made again, and made in a batch or in another mode."""
_NO_CLASS = 1 << 30


@dataclass(eq=False)
class OnNetwork:
    """One method on one network of somebody's own.

    Attributes:
        method: who is held to the contract.
        classifier: the network.
        pixels: two prepared pictures or more, `b c h w`.
        maps: of all of them, made in one call; known after the first check.
    """

    method: Method
    classifier: Classifier
    pixels: Pixels
    maps: list[Attribution] = field(default_factory=list)

    def first(self, **options: Any) -> Attribution:
        """The first picture explained by itself."""
        return results(self.method, self.classifier, self.pixels[:1], **options)[0]

    @cached_property
    def alone(self) -> NDArray[np.float32]:
        """The map of the first picture alone."""
        return self.first().map

    @property
    def network(self) -> nn.Module:
        """What is looked at before and after; of a function nothing but the process."""
        return self.classifier.network or nn.Module()

    @property
    def other(self) -> int | None:
        """The strongest class that the first map does not explain."""
        known = {self.maps[0].target.index, self.maps[0].target.against}
        return next((one.index for one in self.maps[0].predictions if one.index not in known), None)

    @cached_property
    def other_map(self) -> NDArray[np.float32] | None:
        """The first picture's map for another class; None where there is none."""
        return None if self.other is None else self.first(target=self.other).map


def s3_as_found(case: OnNetwork) -> None:
    """Modes, parameters, buffers, gradients, hooks, the input and the random states are bit for bit as before."""
    with left_as_found(case.network, case.pixels, "after a call"):
        case.maps = results(case.method, case.classifier, case.pixels)


def m7_sizes(case: OnNetwork) -> None:
    """A map is as high and wide as what the network was given, and finite."""
    for one in case.maps:
        size = tuple(one.pixels.shape[-2:])
        hold(one.map.shape == size, f"a map of {one.map.shape} of an input of {size}")
        hold(np.isfinite(one.map).all(), "the map holds NaN or infinity")


def r1_again(case: OnNetwork) -> None:
    """The same call gives the same map, and keeps nothing of it alive."""
    first, before = case.alone, _live_tensors()
    again = case.first().map
    _near(again, first, _REPEATED, "the same call twice")
    left = _live_tensors() - before
    hold(left <= 0, f"{left} tensors stay alive after a call")


def m8_batch(case: OnNetwork) -> None:
    """A picture's map does not depend on the pictures beside it."""
    _near(case.maps[0].map, case.alone, _TOGETHER, "alone and beside another picture")


def s5_caller(case: OnNetwork) -> None:
    """The map does not depend on the caller's mode (`no_grad`, `inference_mode`)."""
    with torch.inference_mode():
        found = case.first().map
    _near(found, case.alone, _TOGETHER, "under inference_mode")


def s1_stopped(case: OnNetwork) -> None:
    """Everything is as found when the call is stopped in its middle."""
    with left_as_found(case.network, case.pixels, "after a call that was stopped"), suppress(CancelledError):
        results(case.method, case.classifier, case.pixels[:1], progress=lambda _done, _total: False)


def m9_targets(case: OnNetwork) -> None:
    """A class that the network does not have is refused; another class has another map, where that is claimed."""
    refusal(TargetError, lambda: case.first(target=_NO_CLASS), "a class that is not there")
    if case.method.traits.class_sensitive and case.other_map is not None and np.ptp(case.alone) > 0:
        hold(not np.array_equal(case.alone, case.other_map), f"class {case.other} has the same map")


def c1_complete(case: OnNetwork) -> None:
    """Where completeness is claimed, the error that is told is the error of the map."""
    for one in case.maps if case.method.traits.complete else ():
        error, difference = one.numbers["completeness_error"], one.numbers["score_difference"]
        total, slack = float(one.map.astype(np.float64).sum()), 1e-4 * float(np.abs(one.map).sum()) + 1e-6
        hold(abs(total - difference - error) <= slack, f"the map sums to {total:.4g}, told {difference + error:.4g}")


Check = Callable[[OnNetwork], None]
EVERY: tuple[Check, ...] = (s3_as_found, m7_sizes, r1_again, m8_batch, c1_complete, m9_targets, s5_caller, s1_stopped)
FEW: tuple[Check, ...] = (s3_as_found, m7_sizes, c1_complete, s1_stopped)
"""For methods that are dear: nothing is explained again."""


def check_on_network(
    method: Method, classifier: Classifier, pixels: Pixels, *, few: bool = False
) -> tuple[Report, OnNetwork]:
    """Hold a method to the contract on a network that is somebody's own, which is asked and never changed.

    Args:
        method: a value.
        classifier: the network.
        pixels: two prepared pictures or more that it takes, `b c h w`.
        few: only the statements that ask for no map but those of all pictures together.

    Returns:
        the report, and the maps that were made on the way.

    Raises:
        NotSupportedError, LayerError: the method is not defined for this network.
        UsageError: fewer than two pictures, or settings that do not fit the network.
        SightlineError: the pictures cannot be explained at all.
    """
    if len(pixels) < 2:
        raise UsageError("the contract needs two pictures of one size or more")
    case, cells = OnNetwork(method, classifier, pixels), list[Cell]()
    with Passes(classifier) as passes, passes.shared(pixels[:1].to(passes.device)):
        pass  # a network that was never asked is shown one picture alone, and the first check is to show it several
    for check in FEW if few else EVERY:
        cells.append(_cell(check, case))
        if not case.maps:
            break  # the others begin with these
    return Report(str(method), tuple(cells)), case


def _cell(check: Check, case: OnNetwork) -> Cell:
    words, statement = (check.__doc__ or "").strip(), _statement(check)
    try:
        check(case)
    except REFUSALS:
        raise
    except SightlineError as error:
        if not case.maps:
            raise
        return Cell(statement, words, case.classifier.name, "wrong", str(error))
    except Exception as error:  # whatever else it is, it is a wrong cell
        note = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return Cell(statement, words, case.classifier.name, "wrong", " ".join(note.split()))
    return Cell(statement, words, case.classifier.name, "pass")


def _statement(check: Check) -> str:
    letter, _, rest = check.__name__.partition("_")
    return f"{letter.upper()}-{rest}"


def _near(one: NDArray[np.float32], other: NDArray[np.float32], tolerance: float, words: str) -> None:
    """Demand that two maps agree, relative to the norm: single values of a deep network may be torn apart."""
    hold(one.shape == other.shape, f"{words}: maps of {one.shape} and {other.shape}")
    apart = float(np.linalg.norm(one - other)) / max(float(np.linalg.norm(other)), 1e-30)
    hold(apart <= tolerance, f"{words}: the maps differ by {apart:.1%} of their norm")


def _live_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
