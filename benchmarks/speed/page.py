"""docs/speed.md from what was measured: nothing on the page is written by hand."""

from __future__ import annotations

from collections.abc import Sequence

from speed import whole
from speed.findings import against_targets, findings, process_line
from speed.names import NETWORKS
from speed.notes import LEFT_OUT, protocol
from speed.store import Entry, Record
from speed.words import PRECISIONS, apart, both, counted, order, over_limit, seconds, times, title

NOTE = "<!-- Made by `make bench` from benchmarks/results/speed.json: change benchmarks/speed, not this page. -->"
OPENING = """Every row is one piece of work, done by Sightline in float32 and with `precision=fast`, and by every
package that can do it, on the same network, pictures and classes, in one process, in turn. A ratio of 2× says that the
fastest other package takes twice as long as Sightline. Packages get the network as torchvision or timm returns it,
since that is how their documentation does it; a second column gives them network and pictures with channels last in
memory."""

ASKED = """The ratio *at the limit* is how far any engine could get that runs the same passes: what the fastest package
takes, over the plain passes that the work needs at the pace of the fastest engine at hand, with nothing beside them.
Occlusion goes below its limit, since it runs fewer operations than whole passes."""


def page(records: Sequence[Record]) -> str:
    """The whole page."""
    raced = [record for record in records if record.race != whole.KEY]
    blocks = ["# Speed", NOTE, OPENING]
    if raced:
        blocks += [
            "## What was found",
            _points(findings(raced)),
            "## Against the targets",
            ASKED,
            against_targets(raced),
        ]
    blocks += process_line(records)
    for network in NETWORKS:
        own = [record for record in raced if record.network == network]
        blocks += [f"## {network}", _table(own)] if own else []
    if raced:
        blocks += ["## Everybody", *_everybody(raced), "## Plain passes", _plain(raced)]
    blocks += ["## How it was measured", _points(protocol(records))]
    blocks += ["## Left out", _points(LEFT_OUT)]
    return "\n\n".join(blocks) + "\n"


def _table(records: Sequence[Record]) -> str:
    head = [
        "work",
        "Sightline float32 / fast",
        "fastest other",
        "ratio",
        "beside channels last",
        "times the limit",
        "memory, MiB",
        "agreement",
    ]
    return table(head, [_row(record) for record in records])


def _row(record: Record) -> list[str]:
    other = record.fastest("given")
    own = [record.entry(precision) for precision in PRECISIONS]
    return [
        title(record),
        both([seconds(one.seconds if one else None) for one in own]),
        f"{other.name} {seconds(other.seconds)}" if other else "–",
        both([times(record.ratio(precision)) for precision in PRECISIONS]),
        both([times(record.ratio(precision, "channels last")) for precision in PRECISIONS]),
        both([times(over_limit(record, precision)) for precision in PRECISIONS]),
        both([f"{one.memory:.0f}" if one else "–" for one in (*own, other)]),
        f"{_agreement(other)}; fast {_agreement(own[1])}",
    ]


def _agreement(entry: Entry | None) -> str:
    if entry is None or entry.difference is None:
        return "–"
    return f"{order(entry.spearman)} · {apart(entry.difference)}"


def _everybody(records: Sequence[Record]) -> list[str]:
    """Every contestant of every race, with each of its goes."""
    head = ["who", "asked", "layout", "seconds", "each go", "memory, MiB", "agreement"]
    blocks = []
    for record in records:
        rows = [_contestant(entry) for entry in record.entries]
        when = (
            f"{record.date}, {counted(record.threads)}, {record.clock} time, load {record.load[0]} to {record.load[1]}"
        )
        note = record.note
        said = f"{when}. {note[:1].upper()}{note[1:]}{'.' if note else ''}".strip()
        blocks += [f"### {record.network}: {title(record)}", said, table(head, rows)]
    return blocks


def _contestant(entry: Entry) -> list[str]:
    name = f"Sightline {entry.name}" if entry.ours else entry.name
    if entry.failed:
        return [name, entry.call, entry.layout, f"failed: {entry.failed}".replace("|", "/"), "", "", ""]
    each = ", ".join(f"{one:.3g}" for one in entry.each)
    return [name, entry.call, entry.layout, seconds(entry.seconds), each, f"{entry.memory:.0f}", _agreement(entry)]


def _plain(records: Sequence[Record]) -> str:
    """Milliseconds a picture of every way to run a plain pass, network by network."""
    rows = []
    for network in NETWORKS:
        kinds: dict[str, dict[str, float]] = {}
        for record in records:
            if record.network == network:
                kinds |= record.plain
        for kind, ways in sorted(kinds.items()):
            said = ", ".join(f"{way} {1000 * time:.3g}" for way, time in sorted(ways.items(), key=lambda one: one[1]))
            precision, what, batch = kind.split()
            rows.append([network, precision, "forward" if what == "forward" else "forward and backward", batch, said])
    return table(["network", "precision", "pass", "batch", "milliseconds a picture, the fastest first"], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def _points(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
