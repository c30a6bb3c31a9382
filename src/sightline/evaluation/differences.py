"""Methods against each other on the same pictures: which differences are real, who ranks where, what it costs.

Differences are paired, picture by picture, since pictures differ far more than methods do. A difference is called real
where two things hold, else it is noise:

- its interval (BCa bootstrap over pictures, `aggregate.py`) does not hold 0;
- the sign test of Fisher's randomisation, two-sided, is at most 1 − confidence after Holm's correction for all pairs
  of the methods. The test: if the methods did not differ, each picture's difference could as well have had the other
  sign; p is the share of all 2ⁿ choices of signs whose mean is as far from 0 (all of them up to 2¹⁴, else 20,000 drawn
  ones and the one at hand).

All pairs are corrected for also where only the differences from the best method are shown: the best was found by the
same numbers, and looking at its lead alone would make a winner of the luckiest. Few pictures can never tell many
methods apart (`pictures_needed`), which is told instead of guessed.

R. A. Fisher, "The Design of Experiments", 1935, §21; S. Holm, "A Simple Sequentially Rejective Multiple Test
Procedure", Scandinavian Journal of Statistics 6(2), 1979. torch is not needed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import NonFiniteError, UsageError
from sightline.evaluation.aggregate import CONFIDENCE, RESAMPLES, Interval, checked, interval

Better: TypeAlias = Literal["higher", "lower"]
Verdict: TypeAlias = Literal["better", "worse", "noise", "one picture"]
Row: TypeAlias = "Sequence[float | None] | NDArray[np.float64]"
"""Values of one method, picture by picture; None for a picture that it has none for."""
_EXACT = 14
_DRAWN = 20_000


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One method against another on the pictures that both have.

    Attributes:
        one, other: the names.
        interval: of one − other.
        p: of the sign test, corrected for all pairs of methods; None for one picture.
        verdict: what `one` is against `other`; `noise` where that cannot be told.
    """

    one: str
    other: str
    interval: Interval
    p: float | None
    verdict: Verdict

    def words(self) -> str:
        """As a reader is told it."""
        said = {
            "better": f"{self.one} is better than {self.other}",
            "worse": f"{self.one} is worse than {self.other}",
            "noise": f"{self.one} and {self.other} cannot be told apart: the difference is noise",
            "one picture": f"{self.one} and {self.other}: one picture says nothing of others",
        }[self.verdict]
        tail = "" if self.p is None else f", p = {self.p:.2g}"
        return f"{said} (by {self.interval.words()}{tail})"

    def record(self) -> dict[str, object]:
        """As plain JSON values."""
        told = {"one": self.one, "other": self.other, "p": self.p, "verdict": self.verdict}
        return {**self.interval.record(), **told}


def differences(
    values: Mapping[str, Row],
    better: Better,
    *,
    against: str | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Difference]:
    """Every pair of methods on the same pictures, or every method against one; pairs without a common picture are none.

    Args:
        values: method → `n` values, the same pictures in the same order; None where a method has none.
        better: whether a higher or a lower value speaks for a method.
        against: the one whose differences from all others are wanted; by default those of every pair are.
        confidence, seed, resamples: as for `interval`.

    Raises:
        UsageError: methods with different numbers of pictures, or `against` is none of them.
        NonFiniteError: NaN or infinity among the values.
    """
    rows = _rows(values)
    if against is not None and against not in rows:
        raise UsageError(f"{against!r} is none of {', '.join(rows)}")
    chances = _chances(rows, seed)
    if against is not None:
        shown = [(name, against) for name in rows if name != against]
    else:
        shown = list(combinations(rows, 2))
    found = []
    for one, other in shown:
        apart = rows[one] - rows[other]
        apart = apart[~np.isnan(apart)]
        if len(apart):
            span = interval(apart, confidence=confidence, seed=seed, resamples=resamples)
            chance = chances[(one, other) if (one, other) in chances else (other, one)]
            verdict = _verdict(span, chance, better, 1 - confidence)
            p = chance if span.n > 1 else None
            found.append(Difference(one=one, other=other, interval=span, p=p, verdict=verdict))
    return found


def sign_test(values: ArrayLike, *, seed: int = 0) -> float:
    """The two-sided p of Fisher's randomisation test that differences `n` lie around 0 by chance alone."""
    return float(_sign_tests(checked(values)[:, None], seed)[0])


def holm(chances: Sequence[float]) -> list[float]:
    """p values corrected for their number by Holm's step-down procedure, in the order they came."""
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    corrected, so_far = [1.0] * len(chances), 0.0
    for step, place in enumerate(order):
        so_far = max(so_far, min(1.0, (len(chances) - step) * chances[place]))
        corrected[place] = so_far
    return corrected


def pictures_needed(methods: int, confidence: float = CONFIDENCE) -> int:
    """The fewest pictures by which two of so many methods could be told apart: 2^{1−n} · pairs ≤ 1 − confidence."""
    pairs = max(1, methods * (methods - 1) // 2)
    return max(2, math.ceil(1 + math.log2(pairs / (1 - confidence)) - 1e-9))


def ranks(values: Mapping[str, Row], better: Better) -> dict[str, float]:
    """The mean rank of each method, 1 the best, over the pictures that all have; equal values share their ranks' mean.

    Raises:
        UsageError, NonFiniteError: as `differences`; no picture that all have.
    """
    table = np.stack(list(_rows(values).values()))  # methods × pictures
    table = table[:, ~np.isnan(table).any(0)]
    if not table.shape[1]:
        raise UsageError("the methods have no picture in common: they cannot be ranked")
    signed = table if better == "lower" else -table
    below = (signed[None] < signed[:, None]).sum(1)
    same = (signed[None] == signed[:, None]).sum(1)
    return dict(zip(values, (below + (same + 1) / 2).mean(1).tolist(), strict=True))


def front(values: Sequence[float], costs: Sequence[float], better: Better) -> list[bool]:
    """Which methods no other beats in value at the same cost or less, nor in cost at the same value (Pareto)."""
    worth = [value if better == "higher" else -value for value in values]
    points = list(zip(worth, costs, strict=True))
    return [not any(w >= own and c <= cost and (w > own or c < cost) for w, c in points) for own, cost in points]


def _rows(values: Mapping[str, Row]) -> dict[str, NDArray[np.float64]]:
    """The values with NaN for what is missing."""
    rows = {}
    for name, given in values.items():
        there = [value for value in given if value is not None]
        if not np.isfinite(there).all():
            raise NonFiniteError(f"the values of {name} hold NaN or infinity and cannot be compared")
        rows[name] = np.array([math.nan if value is None else value for value in given], dtype=np.float64)
    if len({len(row) for row in rows.values()}) > 1:
        counts = ", ".join(f"{name} {len(row)}" for name, row in rows.items())
        raise UsageError(f"methods are compared on the same pictures, and their numbers differ: {counts}")
    return rows


def _chances(rows: Mapping[str, NDArray[np.float64]], seed: int) -> dict[tuple[str, str], float]:
    """p of every pair, corrected for all of them; pairs on the same pictures are tested together."""
    alike: dict[bytes, list[tuple[str, str]]] = {}
    for one, other in combinations(rows, 2):
        both = ~np.isnan(rows[one] - rows[other])
        if both.any():
            alike.setdefault(both.tobytes(), []).append((one, other))
    pairs, chances = list[tuple[str, str]](), list[float]()
    for there, group in alike.items():
        kept = np.frombuffer(there, dtype=bool)
        apart = np.stack([rows[one][kept] - rows[other][kept] for one, other in group], axis=1)
        pairs += group
        chances += _sign_tests(apart, seed).tolist()
    return dict(zip(pairs, holm(chances), strict=True))


def _sign_tests(apart: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """p of each column of `n m` differences."""
    count, drawn = len(apart), len(apart) > _EXACT
    if drawn:
        heads = np.random.default_rng(seed).integers(2, size=(_DRAWN, count), dtype=np.int8)
    else:
        heads = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    signs = (1 - 2 * heads).astype(np.float64)
    bar = np.abs(apart.sum(0)) - 1e-9 * np.abs(apart).sum(0)
    far = np.zeros(apart.shape[1])
    for start in range(0, len(signs), 2048):
        far += (np.abs(signs[start : start + 2048] @ apart) >= bar).sum(0)
    return (far + drawn) / (len(signs) + drawn)


def _verdict(span: Interval, chance: float, better: Better, allowed: float) -> Verdict:
    if span.low is None or span.high is None:
        return "one picture"
    if span.low <= 0 <= span.high or chance > allowed:
        return "noise"
    return "better" if (span.mean > 0) == (better == "higher") else "worse"
