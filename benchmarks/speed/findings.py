"""What the numbers say, in words made from them."""

from __future__ import annotations

from collections.abc import Sequence

from speed import whole
from speed.names import ASKED, NETWORKS
from speed.store import Record
from speed.words import PRECISIONS, at_limit, both, counted, over_limit, seconds, sure, times, title, verdicts

BEHIND = 1.0
NEAR = 1.5


def findings(records: Sequence[Record]) -> list[str]:
    """Sentences, the most important first."""
    said = [_reached(records), _missing(records), _behind(records), _limits(records), _not_as_asked(records)]
    said.append(_disturbed(records))
    return [one for one in said if one]


def against_targets(records: Sequence[Record]) -> str:
    """The targets beside what was measured, and a plain word."""
    lines = [
        "| work | network | asked for: float32 / fast | measured | at the limit | reached |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        known = verdicts(record)
        if not known:
            continue
        words = both([_word(target, ratio) for _, target, ratio in known])
        asked = both([f"{target:g}×" for _, target, _ in known])
        measured = both([times(ratio) for _, _, ratio in known])
        most = both([times(at_limit(record, precision)) for precision, *_ in known])
        doubt = "" if sure(record) else " (disturbed)"
        lines.append(f"| {title(record)} | {record.network} | {asked} | {measured}{doubt} | {most} | {words} |")
        lines += _within(record)
    return "\n".join(lines)


def process_line(records: Sequence[Record]) -> list[str]:
    """The sentence on the whole process, where it was measured."""
    record = next((record for record in records if record.race == whole.KEY), None)
    if record is None:
        return []
    took, may = whole.allowed(record)
    word = "reached" if took <= may else "not reached"
    return [
        f"{record.title}: {seconds(took)}; asked for is at most {whole.FACTOR} times the import of torch and "
        f"{whole.EXTRA} s more, here {seconds(may)}: {word}."
    ]


def _within(record: Record) -> list[str]:
    """The line on how near the work has to be to its limit."""
    if record.within is None:
        return []
    measured = [over_limit(record, precision) for precision in PRECISIONS]
    words = both(["–" if one is None else "reached" if one <= record.within else "not reached" for one in measured])
    asked = f"≤ {record.within:g} plain forward passes"
    ratios = both([times(one) for one in measured])
    return [f"| {title(record)} | {record.network} | {asked} | {ratios} | 1× / 1× | {words} |"]


def _word(target: float, ratio: float | None) -> str:
    if ratio is None:
        return "not measured"
    return "reached" if ratio >= target else "not reached"


def _reached(records: Sequence[Record]) -> str:
    known = [one for record in records for one in verdicts(record)]
    measured = [(target, ratio) for _, target, ratio in known if ratio is not None]
    good = sum(ratio >= target for target, ratio in measured)
    said = f"{good} of {len(measured)} ratios that are asked for are reached." if measured else ""
    beyond = sum(
        (most := at_limit(record, precision)) is not None and (ratio or 0) < target and most < target
        for record in records
        for precision, target, ratio in verdicts(record)
    )
    if beyond:
        lie = "lies" if beyond == 1 else "lie"
        said += f" {beyond} of the others {lie} beyond what plain passes by the fastest engine allow on this machine."
    return said


def _missing(records: Sequence[Record]) -> str:
    """What has a target and was not measured yet."""
    known = {record.race for record in records if record.network == NETWORKS[0]}
    missing = [key for key in ASKED if key not in known]
    return f"Not measured yet on {NETWORKS[0]}: {', '.join(missing)}." if missing else ""


def _not_as_asked(records: Sequence[Record]) -> str:
    """Rows measured otherwise than the targets are meant: by wall time, with as many threads as there are cores."""
    other = [one for one in records if one.clock != "wall" or one.threads != one.about["cores"]]
    if not other:
        return ""
    ways = sorted({f"{counted(one.threads)} and {one.clock} time" for one in other})
    return (
        f"{len(other)} of {len(records)} rows were measured with {', '.join(ways)}, because the machine was busy: the "
        "targets are meant for all cores and wall time, so that these rows only point the way."
    )


def _behind(records: Sequence[Record]) -> str:
    """Where another package is faster."""
    slow = [
        f"{title(record)} on {record.network} ({precision} {times(ratio)})"
        for record in records
        for precision in PRECISIONS
        if (ratio := record.ratio(precision)) is not None and ratio < BEHIND
    ]
    if not slow:
        return "No other package is faster in any row."
    return f"Another package is faster in {len(slow)}: {'; '.join(slow)}."


def _limits(records: Sequence[Record]) -> str:
    """How near ours come to plain passes."""
    known = [
        (over, f"{title(record)} on {record.network}, {precision}")
        for record in records
        for precision in PRECISIONS
        if (over := over_limit(record, precision)) is not None
    ]
    if not known:
        return ""
    near = sum(over <= NEAR for over, _ in known)
    worst, where = max(known)
    least, there = min(known)
    below = " (fewer operations than whole passes)" if least < 1 else ""
    return (
        f"{near} of {len(known)} times are at most {NEAR:g} times their limit. The furthest is {where}: "
        f"{times(worst)}; the nearest {there}: {times(least)}{below}."
    )


def _disturbed(records: Sequence[Record]) -> str:
    """Rows whose goes differ so much that something else must have run."""
    rows = [record for record in records if not sure(record)]
    if not rows:
        return ""
    doubtful = [f"{title(record)} on {record.network} ({record.spread():.1f})" for record in rows]
    return (
        "In these rows somebody's longest go took more than one and a half times as long as the shortest, so that "
        f"something else ran on the machine: {'; '.join(doubtful)}. Their ratios are rough."
    )
