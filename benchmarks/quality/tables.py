"""Tables of the page: one row a method, ranked by its difference from Grad-CAM on the same photographs."""

from __future__ import annotations

from collections.abc import Sequence

from quality.statistics import Mean
from quality.summary import REFERENCE, Results, Summary, faithful

HEAD = (
    "method",
    "from",
    "insertion − deletion, less Grad-CAM's",
    "deletion ↓",
    "insertion ↑",
    "pointing ↑",
    "energy ↑",
    "F",
    "B",
    "s",
)


def ranked(results: Results) -> list[Summary]:
    """The methods, those with the largest difference first; then those of which only the place was judged."""

    def rank(one: Summary) -> tuple[bool, float, str]:
        gain = one.against(results.reference, faithful)
        return gain is None, -(gain.value if gain else 0.0), one.method

    return sorted(results.summaries, key=rank)


def table(results: Results) -> str:
    """All methods on these photographs."""
    rows = [_row(one, results.reference) for one in ranked(results)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [HEAD, ("---",) * len(HEAD), *rows])


def cell(value: Mean | None, *, sign: bool = False) -> str:
    """A mean, its interval, and how many photographs it is of."""
    if value is None:
        return "–"
    shown = f"{value.value:+.3f}" if sign else f"{value.value:.3f}"
    if value.count == 1:
        return f"{shown} · n 1"
    ends = f"{value.low:+.3f} to {value.high:+.3f}" if sign else f"{value.low:.3f} to {value.high:.3f}"
    return f"{shown} ({ends}) · n {value.count}"


def _row(one: Summary, reference: Summary) -> Sequence[str]:
    row = one.one
    gain = one.against(reference, faithful)
    is_reference = (one.tool, one.method) == REFERENCE
    return (
        one.shown,
        one.tool + (" (bf16)" if row.precision == "fast" else ""),
        "0, by definition" if is_reference else cell(gain, sign=True),
        cell(one.mean(lambda row: row.deletion)),
        cell(one.mean(lambda row: row.insertion)),
        cell(one.mean(lambda row: row.pointing)),
        cell(one.mean(lambda row: row.energy)),
        f"{_middle(one, 'forward'):,.0f}",
        "–" if row.backward is None else f"{_middle(one, 'backward'):,.0f}",
        _seconds(_middle(one, "seconds")),
    )


def _middle(one: Summary, name: str) -> float:
    """The median over the photographs: the first one pays for what is learnt once."""
    values = sorted(float(getattr(row, name) or 0) for row in one.rows.values())
    return values[(len(values) - 1) // 2]


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"
