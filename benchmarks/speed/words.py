"""Numbers and sentences of the page."""

from __future__ import annotations

from collections.abc import Sequence

from speed.store import Record

PRECISIONS = ("float32", "fast")


def seconds(value: float | None) -> str:
    """A time, in three digits."""
    if value is None:
        return "–"
    return f"{value:.0f} s" if value >= 100 else f"{value:.3g} s"


def counted(threads: int) -> str:
    """How many threads."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def times(value: float | None) -> str:
    """A ratio."""
    if value is None:
        return "–"
    return f"{value:.0f}×" if value >= 100 else f"{value:.2g}×" if value < 10 else f"{value:.3g}×"


def order(value: float | None) -> str:
    """A correlation of ranks, rounded towards what is less, so that 1 is said of no map that is not."""
    if value is None:
        return "–"
    return "1" if value >= 0.99995 else f"{int(value * 1000) / 1000:.3f}"


def apart(value: float | None) -> str:
    """A largest relative difference."""
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.2g}" if value >= 0.01 else f"{value:.0e}".replace("e-0", "e-")


def both(values: Sequence[str]) -> str:
    """What is said of float32 and of fast, in one cell."""
    return " / ".join(values)


def title(record: Record) -> str:
    """What the work is, and how much of it was run."""
    share = "" if record.parts == record.of else f" ({record.parts:,} of {record.of:,} run)"
    return f"{record.title}{share}"


def over_limit(record: Record, precision: str) -> float | None:
    """Our time in times of the limit of the same precision."""
    own, limit = record.entry(precision), record.limit.get(precision)
    return (own.seconds or 0.0) / limit if own is not None and limit else None


def at_limit(record: Record, precision: str) -> float | None:
    """The ratio there would be, were our time the limit."""
    ratio, over = record.ratio(precision), over_limit(record, precision)
    return ratio * over if ratio is not None and over is not None else None


def verdicts(record: Record) -> list[tuple[str, float, float | None]]:
    """For each precision that has a target on this network: which, the target, and what was measured."""
    return [
        (precision, target, record.ratio(precision))
        for precision, target in zip(PRECISIONS, record.targets, strict=False)
    ]


def sure(record: Record) -> bool:
    """Whether the goes of everybody were alike enough to speak of ratios to a tenth."""
    return record.spread() < 1.5
