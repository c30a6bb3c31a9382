"""What a reader of the leaderboard should take along, from the numbers of its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sightline.reports.leaderboard_again import findings_again
from sightline.reports.leaderboard_scores import (
    SCORES,
    above_knowing_nothing,
    clear,
    clearly_above,
    mean_of,
    ordered,
    overall,
)
from sightline.reports.leaderboard_words import code, listed, names

FEW = 12
"""So many methods are named one by one."""
MOST = 3
"""Of more, so many are named."""
Row = Mapping[str, Any]
_CHEAT = "cheat revealed"
_BY_RULE = " (which reveals nothing by rule: its maps are the same in both networks)"


def findings(record: Mapping[str, Any]) -> list[str]:
    """One paragraph each, the most important first."""
    rows = [row for row in ordered(record) if not row["null"]]
    nulls = [row for row in record["rows"] if row["null"]]
    best = ", ".join(f"{code(row)} {overall(row):.2f}" for row in rows[:5])
    found = [
        f"Highest mean score: {best}. Knowing nothing: "
        + listed(f"`{row['name']}` {overall(row):.2f}" for row in nulls)
        + "."
    ]
    for name, place in SCORES.items():
        above = [row for row in rows if above_knowing_nothing(record, row, *place)]
        rule = _BY_RULE if name == "reveals" else ""
        found.append(f"By {name}, {_of(above, rows)} clearly above knowing nothing on the same scenes{rule}.")
    found += [_cheat(rows), *_untrained(rows, record["seed"])]
    blind = [row for row in rows if mean_of(row, "honest", "contrast")["mean"] == 0]
    if blind:
        found.append(f"The map does not change with the target, or changes for the worse (contrast 0): {names(blind)}.")
    return found + (findings_again(record["again"]) if record["again"] else [])


def _of(some: Sequence[Row], rows: Sequence[Row]) -> str:
    """`3 of 65 (…) are`, `none of 65 is`; the few are named: those that are, or those that are not."""
    others, named = [row for row in rows if row not in some], ""
    if not some or not others:
        return f"all {len(rows)} are" if some else f"none of {len(rows)} is"
    if len(some) <= FEW:
        named = f" ({names(some)})"
    elif len(others) <= FEW:
        named = f" (all but {names(others)})"
    return f"{len(some)} of {len(rows)}{named} {'is' if len(some) == 1 else 'are'}"


def _cheat(rows: Sequence[Row]) -> str:
    """How often the cheat is revealed: always, most often, never."""
    share = _share(_CHEAT, "all")
    always, never = ([row for row in rows if share(row) == value] for value in (1, 0))
    most = f"The cheat is revealed in every scene by {names(always)}"
    if not always:
        most = f"No method reveals the cheat in every scene; most often {_most(rows, share)}"
    return f"{most}; never by {names(never)}." if never else f"{most}."


def _untrained(rows: Sequence[Row], seed: int) -> list[str]:
    """What methods score before a network that has learnt nothing."""
    share, found = _share(_CHEAT, "untrained"), []
    loud = [row for row in rows if clear(row, _CHEAT, "untrained")]
    if loud:
        found.append(
            f"**Reveals in an untrained network, too**: {_named(loud, rows, share)}. In that share of the scenes their "
            "maximum lies on the bell or on the snow before anything was learnt, so that it is no evidence of a cheat "
            "by itself."
        )
    often = _share(_CHEAT, "all")
    same = [row for row in rows if often(row) > 0 and not _more_than_untrained(row, seed)]
    if same:
        found.append(
            "**Reveals the cheat not clearly more often than an untrained network's maps would** (the interval of the "
            f"difference holds 0; in brackets how often it does): {_named(same, rows, often)}."
        )
    idle = [row for row in rows if not clear(row, "untrained", "gain")]
    if idle:
        found.append(
            "**Rank no higher than before training** (the interval of the gain holds 0; in brackets the rank before "
            f"it): {_named(idle, rows, _share('untrained', 'rank'))}. What these maps find is what stands out in the "
            "picture."
        )
    return found


def _more_than_untrained(row: Row, seed: int) -> bool:
    values = row["values"][_CHEAT]
    return clearly_above(values["all"], values["untrained"], seed)


def _share(part: str, score: str) -> Callable[[Row], float]:
    return lambda row: float(mean_of(row, part, score)["mean"])


def _named(some: Sequence[Row], rows: Sequence[Row], share: Callable[[Row], float]) -> str:
    """A few by name with their values, highest first; of more the highest."""
    if len(some) <= FEW:
        return _most(some, share, FEW)
    return f"{len(some)} of {len(rows)}, most of all {_most(some, share)}"


def _most(rows: Sequence[Row], share: Callable[[Row], float], many: int = MOST) -> str:
    best = sorted(rows, key=share, reverse=True)[:many]
    return listed(f"`{row['name']}` ({share(row):.2f})" for row in best)
