"""What a metric is, what it is asked, and what it answers.

A metric is a frozen value whose fields are its settings; it judges one map of one picture by one number. A metric
states only its own idea in `measure`; the final `__call__` does once what all need: the checks of the map and of the
mask, and the check of what came out.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray

from sightline.attribution.base import Method
from sightline.errors import NonFiniteError, UsageError
from sightline.images.frame import Frame
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.runner import Precision
from sightline.spec import Named
from sightline.types import Pixels

T = TypeVar("T")

FLAT = "the map is flat: the same value everywhere, so its order and its maximum are those of the rule for ties"
CROPPED = 0.01  # an object that is cut off by less than this is not worth a warning


class Curve(NamedTuple):
    """Points of a curve, `n` and `n` float64, x from 0 to 1."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


class Jointly(NamedTuple):
    """What each of several pictures counts when they are judged together, and how that came about, in words."""

    values: tuple[float, ...]
    words: str


@dataclass(frozen=True, kw_only=True)
class MetricTraits:
    """How to read a metric, and what it needs.

    Attributes:
        family: the room it lives in.
        better: whether a higher or a lower value speaks for the map.
        needs_mask: whether it must be told where the object is.
        asks: whether it asks the network; a metric that does not costs no passes.
        range: the values it can take, in words.
        cost: passes for one map, in words (F forward).
        paper: authors, title, venue, year.
        needs_method: whether it explains again, and so must know the method behind the map.
        axes: what a curve tells, along and upwards.
        ideal: the value that speaks most for a map, where that is no end of the range: methods are then ranked by how
            far their values lie from it, on either side.
        joint: whether the value over several pictures is not the mean of theirs (`Metric.jointly`).
    """

    family: str
    better: Literal["higher", "lower"]
    needs_mask: bool = False
    asks: bool = True
    range: str
    cost: str
    paper: str
    needs_method: bool = False
    axes: tuple[str, str] = ("share of the picture changed", "probability")
    ideal: float | None = None
    joint: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """One map of one picture, to be judged.

    Attributes:
        pixels: `1 c h w`, what the network was given.
        map: `h w` float32, signed, in the frame of the network's input.
        picture_map: `H W` float32, the map in the frame of the picture; 0 where the network did not look.
        target: what the map explains, of length 1.
        frame: where the network's input lies in the picture.
        mask: `H W` booleans of the picture, True on the object, if it is known.
        boxes: (left, top, right, bottom) each, where the object was told by boxes.
        method: what made the map, with the layer that it looked at; None for a map of another tool.
        precision: of the passes that made the map; None for a map of another tool.
        kept: what one metric found and another needs, too (`once`).
    """

    pixels: Pixels
    map: NDArray[np.float32]
    picture_map: NDArray[np.float32]
    target: Target
    frame: Frame
    mask: NDArray[np.bool_] | None = None
    boxes: Sequence[Sequence[float]] = ()
    method: Method | None = None
    precision: Precision | None = None
    kept: dict[object, tuple[Passes, Any]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """Where the network looked, `H W`."""
        return self.frame.seen()

    def once(self, passes: Passes, what: object, make: Callable[[], T]) -> T:
        """What `make` gives, made by the first metric that asks these passes for it; it costs the others nothing."""
        if what not in self.kept or self.kept[what][0] is not passes:
            self.kept[what] = passes, make()
        return cast(T, self.kept[what][1])

    @property
    def object(self) -> NDArray[np.bool_]:
        """The mask, in a metric that needs one (its presence is checked before)."""
        assert self.mask is not None
        return self.mask

    @property
    def behind(self) -> Method:
        """The method, in a metric that needs it (its presence is checked before)."""
        assert self.method is not None
        return self.method


@dataclass(frozen=True, eq=False, kw_only=True)
class Value:
    """What a metric found.

    Attributes:
        value: the number.
        curve: where the number is an area, the curve above it.
        details: what else was measured, in numbers.
        warnings: what the reader must know before believing the number.
    """

    value: float
    curve: Curve | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Metric(Named):
    """A way to judge a map by one number. Subclasses give `traits` and `measure`, and are listed in the table."""

    traits: ClassVar[MetricTraits]

    @abstractmethod
    def measure(self, passes: Passes, question: Question) -> Value:
        """The value of one map.

        Args:
            passes: where the network is asked; where `traits.asks` is False it may not be.
            question: the map, the picture and the target; with a mask where the metric needs one.
        """

    def jointly(self, curves: Sequence[Curve]) -> Jointly:
        """What each picture counts when all are judged together; where `traits.joint` only.

        Args:
            curves: one a picture, of maps of one method.
        """
        raise UsageError(f"{self.name} over several pictures is the mean of their values ({len(curves)} curves came)")

    @final
    def __call__(self, passes: Passes, question: Question) -> Value:
        """The value of one map, checked.

        Raises:
            UsageError: no mask where one is needed, an empty one, or one of another size than the picture; a map of
                another size than the network's input; a map of another tool where it must be made again.
            NonFiniteError: the map, or what came out, holds NaN or infinity.
        """
        _check_map(question)
        warnings = _mask_warnings(self, question) if self.traits.needs_mask else []
        if self.traits.needs_method and question.method is None:
            raise UsageError(
                f"{self.name} explains again, and only Sightline's own methods can be asked to: give the Attribution "
                "that `explain` made, or judge the map of another tool by metrics that need no method, such as deletion"
            )
        with passes:
            found = self.measure(passes, question)
        numbers = [found.value, *found.details.values(), *(found.curve.y if found.curve else ())]
        if not all(map(math.isfinite, numbers)):
            raise NonFiniteError(f"{self.name} gave a value that is NaN or infinite")
        return Value(
            value=found.value,
            curve=found.curve,
            details=found.details,
            warnings=tuple(dict.fromkeys([*warnings, *found.warnings, *_flat(question, found.warnings)])),
        )


def is_flat(values: NDArray[np.float32]) -> bool:
    """Whether a map has the same value everywhere."""
    return bool(values.min() == values.max())


def _flat(question: Question, told: Sequence[str]) -> list[str]:
    """That the map is the same everywhere, where the metric itself tells nothing of it."""
    if told or not is_flat(question.map):
        return []
    return ["the map is flat, the same value everywhere: the value tells of the picture, not of where a map points"]


def _check_map(question: Question) -> None:
    pixels, frame = question.pixels, question.frame
    if len(pixels) != 1 or len(question.target) != 1:
        raise UsageError(
            f"a metric judges one picture at a time, got {len(pixels)} with {len(question.target)} targets"
        )
    _check_size(question.map, (int(pixels.shape[2]), int(pixels.shape[3])), "the network's input")
    _check_size(question.picture_map, frame.picture, "the picture")
    if not (np.isfinite(question.map).all() and np.isfinite(question.picture_map).all()):
        raise NonFiniteError("the map holds NaN or infinity and cannot be judged")


def _check_size(values: NDArray, size: tuple[int, int], where: str) -> None:
    if values.shape != size:
        came = " × ".join(map(str, values.shape))
        raise UsageError(f"a map of {came} came where {where} has {size[0]} × {size[1]} (height × width)")


def _mask_warnings(metric: Metric, question: Question) -> list[str]:
    """Refuse a mask that says nothing; tell how much of the object the network could not see."""
    mask, size = question.mask, question.frame.picture
    if mask is None:
        raise UsageError(
            f"{metric.name} needs to know where the object is: give mask= as booleans {size[0]} × {size[1]} of the "
            "picture (True on the object), a box (left, top, right, bottom), a polygon of corners (x, y), or a picture "
            "that is white on the object"
        )
    if mask.shape != size or mask.dtype != bool:
        came = " × ".join(map(str, mask.shape))
        raise UsageError(
            f"{metric.name}: a mask of {came} {mask.dtype} came, expected booleans {size[0]} × {size[1]}, height × "
            "width of the upright picture"
        )
    if not mask.any():
        raise UsageError(f"{metric.name}: the mask is empty, no pixel of it is True: nothing can lie on the object")
    warnings = []
    if mask.all():
        warnings.append("the mask covers the whole picture: every map gets the best value")
    cut = 1 - np.count_nonzero(mask & question.seen) / np.count_nonzero(mask)
    if cut > CROPPED:
        warnings.append(f"{cut:.0%} of the object lies outside of what the network was shown (cropped away)")
    return warnings
