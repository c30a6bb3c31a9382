"""A comparison in words, as text, as CSV and as a table of HTML."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightline.evaluation.aggregate import FEW
from sightline.evaluation.base import Metric
from sightline.evaluation.differences import pictures_needed

if TYPE_CHECKING:
    from sightline.evaluation.comparison import Comparison
    from sightline.evaluation.standing import Contender

_MOST_CAUTIONS = 6
_MARKS = "* best method   ≈ cannot be told apart from it   ° not shown to be better than the best baseline"


def sentences(found: Comparison) -> list[str]:
    """Who leads, which differences are noise, who is not shown to be better than a map that knows nothing."""
    said = [_about(found)]
    if (few := _few(found)) is not None:
        said.append(few)
    return [*said, *(_metric(found, metric) for metric in found.judged)]


def too_few(found: Comparison) -> bool:
    """Whether no difference at all could be told by so few pictures."""
    return len(found.pictures) < _needed(found)


def text(found: Comparison) -> str:
    """The table with its marks, the sentences beneath."""
    head = ["method", *(f"{metric} {arrow(metric)}" for metric in found.judged), "rank", "passes", "seconds"]
    rows = [
        [
            _named(row),
            *(_cell(found, metric, row.name) for metric in found.judged),
            mean_rank(found, row.name),
            passes(row),
            seconds(row),
        ]
        for row in found.order
    ]
    several = len(found.pictures) > 1
    lines = _aligned([head, *rows])
    return "\n".join([*lines, *([_MARKS] if several else []), "", *found.words(), *_cautions(found)])


def _cautions(found: Comparison) -> list[str]:
    """The first warnings, as many as one reads beneath a table."""
    if not found.cautions:
        return []
    more = len(found.cautions) - _MOST_CAUTIONS
    first = [f"  {one}" for one in found.cautions[:_MOST_CAUTIONS]]
    return ["", "to know:", *first, *([f"  and {more} more, in `cautions`"] if more > 0 else [])]


def csv_text(found: Comparison) -> str:
    """One line a value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["picture", "target", "method", "kind", "metric", "better", "value"])
    for metric in found.judged:
        for name, row in found.counted(metric).items():
            for picture, target, value in zip(found.pictures, found.targets, row, strict=True):
                if value is not None:
                    kind = found.row(name).kind
                    writer.writerow([picture, target, name, kind, str(metric), metric.traits.better, repr(value)])
    return out.getvalue()


def html_table(found: Comparison) -> str:
    """The table for a notebook."""
    head = ["method", *(f"{metric} {arrow(metric)}" for metric in found.judged), "rank", "passes", "seconds"]
    cells = "".join(f"<th>{html.escape(word)}</th>" for word in head)
    lines = [f"<table><thead><tr>{cells}</tr></thead><tbody>"]
    for row in found.order:
        values = [_cell(found, metric, row.name) for metric in found.judged]
        told = [_named(row), *values, mean_rank(found, row.name), passes(row), seconds(row)]
        lines.append("<tr>" + "".join(f"<td>{html.escape(word)}</td>" for word in told) + "</tr>")
    said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in [_MARKS, *found.words()])
    return "".join([*lines, "</tbody></table>", said])


def mark(found: Comparison, metric: Metric, name: str) -> str:
    """`*` the best method, `≈` not told apart from it, `°` not shown to be better than the best baseline."""
    one = found.standings(metric)[name]
    if found.row(name).kind == "baseline" or one.interval.n == 1 or not found.tells(metric):
        return ""
    first = "*" if name == found.best(metric) else "≈" if one.to_best and one.to_best.verdict == "noise" else ""
    return first + ("°" if one.to_chance and one.to_chance.verdict in ("noise", "worse") else "")


def arrow(metric: Metric) -> str:
    """Which way is better, as a sign."""
    ideal = metric.traits.ideal
    return f"→{ideal:g}" if ideal is not None else "↑" if metric.traits.better == "higher" else "↓"


def which_way(metric: Metric) -> str:
    """Which way is better, in words."""
    ideal = metric.traits.ideal
    return f"nearest {ideal:g} is best" if ideal is not None else f"{metric.traits.better} is better"


def mean_rank(found: Comparison, name: str) -> str:
    """The mean of its ranks over the metrics."""
    rank = found.mean_rank(name)
    return "–" if rank is None else f"{rank:.1f}"


def passes(row: Contender) -> str:
    """Passes for a picture."""
    return f"{row.passes:,.0f}" if row.kind == "method" else "–"


def seconds(row: Contender) -> str:
    """Seconds for a picture."""
    return "–" if row.seconds is None else f"{row.seconds:.2g}" if row.seconds < 100 else f"{row.seconds:,.0f}"


def _about(found: Comparison) -> str:
    count = len(found.pictures)
    which = f" ({found.only})" if found.only else ""
    if count == 1:
        return f"One picture{which}: no interval is claimed, and no difference says anything of other pictures."
    return (
        f"{count} pictures{which}; in brackets the {found.confidence:.0%} interval of the mean over pictures (BCa "
        f"bootstrap, seed {found.seed}); differences are paired by picture and corrected for all pairs (Holm)."
    )


def _few(found: Comparison) -> str | None:
    """What so few pictures cannot tell."""
    count = len(found.pictures)
    if count == 1:
        return None
    if too_few(found):
        return (
            f"{count} pictures cannot tell any two of {_most_rows(found)} rows apart, however far they lie: at least "
            f"{_needed(found)} are needed, or fewer rows. All differences below may be noise."
        )
    return f"With fewer than {FEW} pictures intervals are too narrow." if count < FEW else None


def _most_rows(found: Comparison) -> int:
    return max((len(found.values[str(metric)]) for metric in found.judged), default=0)


def _needed(found: Comparison) -> int:
    return pictures_needed(_most_rows(found), found.confidence)


def _metric(found: Comparison, metric: Metric) -> str:
    """One metric in a sentence or three."""
    standings, best, chance = found.standings(metric), found.best(metric), found.chance(metric)
    better = f"{metric} ({which_way(metric)})"
    if best is None:
        return f"{better}: no method was judged."
    methods = [name for name in standings if found.row(name).kind != "baseline"]
    if len(standings) > 1 and not found.tells(metric):
        return f"{better}: every row has the same value on every picture: it tells nothing here."
    level = [name for name in methods if standings[name].interval.mean == standings[best].interval.mean]
    lead = "has" if len(methods) == 1 else "leads with" if len(level) == 1 else f"and {len(level) - 1} more lead with"
    said = [f"{better}: {best} {lead} {standings[best].interval.words()}"]
    if standings[best].interval.n > 1 and not too_few(found):
        noise = [name for name in methods if (one := standings[name].to_best) and one.verdict == "noise"]
        if noise:
            said.append(f"not told apart from it, the differences are noise: {', '.join(noise)}")
        elif len(methods) > 1:
            said.append("it is better than every other method")
        lost = [n for n in methods if (one := standings[n].to_chance) and one.verdict in ("noise", "worse")]
        if lost and chance is not None:
            which = "every method" if len(lost) == len(methods) > 1 else ", ".join(lost)
            said.append(f"not shown to be better than {chance}, which knows nothing of the network: {which}")
    spans = [one.by_class for one in (standings[best],) if one.by_class is not None]
    said += [f"as the mean over classes {best} has {span.words()}" for span in spans]
    together = found.jointly(metric, best)
    said += [together.words] if together is not None and standings[best].interval.n > 1 else []
    return "; ".join(said) + "."


def _cell(found: Comparison, metric: Metric, name: str) -> str:
    one = found.standings(metric).get(name)
    if one is None:
        return "–"
    short = f" (n {one.interval.n})" if one.interval.n < len(found.pictures) else ""
    return f"{one.interval.words()}{short} {mark(found, metric, name)}".rstrip()


def _named(row: Contender) -> str:
    return row.name if row.kind == "method" else f"({row.name})" if row.kind == "baseline" else f"[{row.name}]"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
