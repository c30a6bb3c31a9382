"""The display scale: which value gets which colour, as a value that is stated beside every picture.

Raw values are never changed. A scale holds zero at a fixed place: at the weak end where one sign is shown, in the
middle where both are. No minimum is subtracted (it would draw weak evidence as none), but where a map nowhere comes
near zero, as the mean of a probability does not: there only the differences say something, and the bar says where they
begin. No epsilon is added (it would blank maps of small numbers): a map times a positive number looks the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.errors import NonFiniteError, SpecError, UsageError, unknown

Sign: TypeAlias = Literal["all", "positive", "negative", "absolute"]
SIGNS: tuple[Sign, ...] = get_args(Sign)

FLAT = "the map is flat: its value is the same everywhere, so it points to no place in the picture"
ALL_ZERO = "the map is flat: it is zero everywhere, so it points to no place in the picture"
NO_POSITIVE = "no positive evidence: the map is nowhere above zero, it shows only what spoke against this answer"
FLAT_SPREAD = 1e-6
"""Differences below this share of the largest value are rounding in float32, not evidence."""
LIFTED = 0.25
"""A map above this share of its largest value everywhere is drawn from its smallest value."""


@dataclass(frozen=True)
class Scale:
    """Which values lie at the ends of the colours; `low <= high`, in the units of the map.

    Both signs shown: `low == -high` and zero has the middle colour. One sign: one end is zero, and the colours run from
    zero to the other end, so that the last colour is the strongest. `lifted`: the map nowhere comes near zero, and the
    colours run from its smallest value, `0 < low < high`. `flat`: the map has one value everywhere and is drawn as
    nothing; `low` and `high` both hold that value.
    """

    low: float
    high: float
    sign: Sign = "all"
    flat: bool = False
    percentile: float = 100.0
    lifted: bool = False

    def __post_init__(self) -> None:
        check_sign(self.sign)
        check_percentile(self.percentile)
        if not (np.isfinite(self.low) and np.isfinite(self.high)):
            raise NonFiniteError(f"a scale needs finite ends, and {self.low} to {self.high} came")
        one_sided = self.low < self.high and 0.0 in (self.low, self.high)
        lifted = self.lifted and 0 < self.low < self.high
        if not (self.flat or one_sided or lifted or self.low == -self.high < 0):
            raise SpecError(f"a scale is -m to m, 0 to m or -m to 0, and {self.low:g} to {self.high:g} came")

    @property
    def diverging(self) -> bool:
        """Both signs are shown, with zero in the middle."""
        return not self.flat and self.low < 0 < self.high

    @property
    def reach(self) -> float:
        """The absolute value at the strong end."""
        return max(abs(self.low), abs(self.high))

    def words(self) -> str:
        """The scale in words, to stand beside a picture."""
        ends = f"{number(self.high)} everywhere" if self.flat else f"scale {number(self.low)} to {number(self.high)}"
        return ", ".join([ends, self.remarks()]) if self.remarks() else ends

    def remarks(self) -> str:
        """What the numbers at the ends do not say: flat, a part of the values, outliers cut; empty where nothing."""
        found = ["flat"] if self.flat else []
        if self.lifted:
            found.append("drawn from its smallest value, which is not near 0")
        if self.sign != "all":
            found.append("sign left out" if self.sign == "absolute" else f"{self.sign} part only")
        if self.percentile < 100:
            found.append(f"up to {number(100 - self.percentile)}% share the end colour")
        return ", ".join(found)


def scale_of(maps: NDArray | Sequence[NDArray], sign: Sign = "all", percentile: float = 100.0) -> Scale:
    """The scale of one map `h w`, or the one scale that several maps (a list, or `b h w`) share.

    `sign`: show `all` values, the `positive` or the `negative` part, or the `absolute` value. `all` gives a scale
    symmetric about zero, but 0 to the largest where no value is negative, and smallest to largest where all lie above
    `LIFTED` times the largest. `percentile` cuts outliers: the strong end is
    that percentile of the absolute values, the largest of several maps' (where it is zero, as for a map that is mostly
    zero, the largest value; `Scale.percentile` is then 100).
    Raises `NonFiniteError` for NaN or infinity, `UsageError` for a wrong shape, `SpecError` for a wrong word.
    """
    check_sign(sign)
    check_percentile(percentile)
    parts = [shown(as_map(one), sign) for one in several(maps)]
    least, most = float(min(part.min() for part in parts)), float(max(part.max() for part in parts))
    if least == most:
        value = -most if sign == "negative" else most
        return Scale(value + 0.0, value + 0.0, sign, flat=True)
    # Map by map, so that a large map does not decide how much of a small one is cut.
    reach = float(max(np.percentile(np.abs(part), percentile) for part in parts))
    if reach == 0:
        reach, percentile = max(-least, most), 100.0
    if sign == "negative":
        return Scale(-reach, 0.0, sign, percentile=percentile)
    if least > LIFTED * most and least < reach:
        return Scale(least, reach, sign, percentile=percentile, lifted=True)
    return Scale(-reach if least < 0 else 0.0, reach, sign, percentile=percentile)


def normalise(values: NDArray, scale: Scale) -> NDArray[np.float32]:
    """Places in the colours, `h w` in [0, 1]: 0 is the first colour, 1 the last; all 0 where the scale is flat.

    With a diverging scale zero lies at 0.5. Values beyond the ends are drawn as the ends.
    Raises `NonFiniteError` for NaN or infinity, `UsageError` for a wrong shape.
    """
    part = shown(as_map(values), scale.sign)
    if scale.flat:
        return np.zeros(part.shape, np.float32)
    with np.errstate(
        over="ignore"
    ):  # a value far beyond a tiny scale divides to infinity, which is then cut to the end
        part = (part - scale.low) / (scale.high - scale.low) if scale.lifted else part / scale.reach
    if scale.diverging:
        return (np.clip(part, -1, 1) / 2 + 0.5).astype(np.float32)
    return np.clip(part, 0, 1).astype(np.float32)


def strength(places: NDArray, scale: Scale) -> NDArray[np.float32]:
    """How far from zero, in [0, 1], from what `normalise` gave."""
    return np.abs(2 * places - 1) if scale.diverging else places


def findings(values: NDArray) -> tuple[str, ...]:
    """What a reader should know about a map `h w` before looking at it: sentences, or nothing."""
    one = as_map(values)
    if not one.any():
        return (ALL_ZERO,)
    if one.max() - one.min() <= FLAT_SPREAD * np.abs(one).max():
        return (FLAT,)
    return (NO_POSITIVE,) if one.max() <= 0 else ()


def shown(values: NDArray[np.float64], sign: Sign) -> NDArray[np.float64]:
    """The part of the values that is drawn; for `negative` its strength, so that strong is large."""
    if sign == "positive":
        return np.maximum(values, 0)
    if sign == "negative":
        return np.maximum(-values, 0)
    return np.abs(values) if sign == "absolute" else values


def as_map(values: NDArray) -> NDArray[np.float64]:
    """A checked map `h w` in float64, where no float32 value underflows or overflows."""
    array = np.asarray(values)
    if array.ndim != 2 or not array.size:
        raise UsageError(f"a map is height x width, and an array of shape {array.shape} came")
    if array.dtype.kind not in "fiub":
        raise UsageError(f"a map holds real numbers, and an array of {array.dtype} came")
    array = array.astype(np.float64)
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise NonFiniteError(f"the map holds {bad} of {array.size} values that are NaN or infinite: it cannot be drawn")
    return array


def several(maps: NDArray | Sequence[NDArray]) -> list[NDArray]:
    """One map, or several, as a list."""
    if isinstance(maps, np.ndarray) and maps.ndim == 2:
        return [maps]
    listed = list(maps)
    if not listed:
        raise UsageError("there is no map to scale")
    return listed


def number(value: float) -> str:
    """A number in three digits, short enough for a colour bar."""
    text = f"{value:.3g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text


def check_sign(sign: str) -> None:
    """Raise `SpecError` unless this is a sign that can be shown."""
    if sign not in SIGNS:
        raise SpecError(unknown("sign", str(sign), SIGNS))


def check_percentile(percentile: float) -> None:
    """Raise `SpecError` unless the percentile lies in 0 to 100."""
    if not 0 < percentile <= 100:
        raise SpecError(f"the percentile lies above 0 and up to 100, and {percentile} came")
