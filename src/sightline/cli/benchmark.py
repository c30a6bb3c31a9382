"""`sightline benchmark`: every method on drawn scenes whose evidence is known."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.parser import Parser, listed, whole
from sightline.errors import UsageError

if TYPE_CHECKING:
    from sightline.runs.benchmark import Setting
    from sightline.runs.benchmark_plan import Foretold
    from sightline.runs.unfinished import Unfinished

RECORD, PAGE, UNFINISHED = "leaderboard.json", "leaderboard.md", "leaderboard.unfinished.jsonl"
_DEAREST = 5
_ON_TOP = "At the pace of passes measured just now; drawing scenes and judging the maps come on top."
_EXAMPLES = """examples:
  sightline benchmark --quick --methods grad-cam,gradient
  sightline benchmark --plan
  sightline benchmark --minutes 60 --out leaderboard

What it will take is told before it begins. Without --quick: 20 scenes of each sort, every method at its defaults, and
small networks trained again without what a map points at (ROAR) and on random labels.

A run that is broken off loses no more than the method it was at: the same command, with the same --out, goes on."""


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.description = (
        "Runs every method on the built-in networks and on drawn scenes whose evidence is known, beside contestants "
        f"that know nothing. Prints the table, writes {RECORD} and {PAGE}."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--quick", action="store_true", help="few scenes, dear methods asked more cheaply: some minutes on two cores"
    )
    parser.add_argument(
        "--method",
        "--methods",
        dest="methods",
        action="append",
        metavar="LIST",
        help="names with commas between, as in grad-cam,occlusion(window=64), or all (the default)",
    )
    parser.add_argument(
        "--minutes",
        type=whole(1),
        metavar="N",
        help="leave out what would not fit into N minutes, the dearest methods first; it is told",
    )
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of scenes and intervals (default: 0)")
    parser.add_argument("--plan", action="store_true", help="print what it would take on this machine, and stop")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("sightline-out/benchmark"),
        metavar="DIR",
        help="folder for the record and the page (default: sightline-out/benchmark)",
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"where the page goes (default: {PAGE} in --out)")
    parser.add_argument("--quiet", action="store_true", help="no plan and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run the contest, write its record and its page; the exit code."""
    from sightline.reports.leaderboard import page, rows_of
    from sightline.runs.benchmark import benchmark, setting, unfinished

    names = listed(arguments.methods, [])
    wanted = setting([] if "all" in names else names, quick=arguments.quick, seed=arguments.seed)
    with unfinished(wanted, arguments.out / UNFINISHED) as kept:
        wanted = _planned(arguments, wanted, kept)
        if arguments.plan:
            return 0
        place = arguments.page or arguments.out / PAGE
        for folder in (arguments.out, place.parent):  # before the hours, not after them
            _made(folder)
        record = benchmark(wanted, (lambda _: None) if arguments.quiet else _say, kept)
        (arguments.out / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        place.write_text(page(record), encoding="utf-8")
        kept.finish()
    print(_table(rows_of(record)))
    for one in record["refused"]:
        print(f"not run: {one['spec']}: {one['reason']}")
    print(arguments.out / RECORD)
    print(place)
    return 0


def _planned(arguments: argparse.Namespace, wanted: Setting, kept: Unfinished) -> Setting:
    """The setting that fits into the minutes given; what it will take is told."""
    from sightline.runs.benchmark_plan import foretold, still, within

    if not arguments.plan and arguments.minutes is None and arguments.quiet:
        return wanted
    known = still(foretold(wanted), wanted.small, kept.done)
    if arguments.minutes is not None:
        wanted = within(wanted, known, arguments.minutes)
    if arguments.plan or not arguments.quiet:
        words = _plan_words(wanted, known)
        if kept.done:
            words += f"\nGoes on with {len(kept.done)} pieces that were done before: {kept.place}"
        print(words, file=sys.stdout if arguments.plan else sys.stderr, flush=True)
    return wanted


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: no folder can be made there: {error.strerror or error}") from error


def _plan_words(wanted: Setting, known: Foretold) -> str:
    """How long what is left of a benchmark will take, and what takes longest."""
    from sightline.cli.planning import duration

    left = {method: seconds for method, seconds in known.contest.items() if method in wanted.methods and seconds}
    dearest = sorted(left, key=lambda method: -left[method])[:_DEAREST]
    named = ", ".join(f"{method} {duration(left[method])}" for method in dearest)
    named += ", …" if len(left) > len(dearest) else ""
    lines = [f"About {duration(sum(left.values()))} for {known.maps} maps of each of {len(left)} methods: {named}"]
    if wanted.small is not None:
        each = [seconds for method, seconds in known.each_again.items() if method in wanted.methods and seconds]
        again = duration(known.again + sum(each))
        lines.append(f"About {again} for training again with the cheap ones ({len(each)}).")
    if known.untold:
        lines.append(f"Not known beforehand: {', '.join(map(str, known.untold))}.")
    lines += [f"left out: {name}: {reason}" for name, reason in wanted.left_out.items()]
    return "\n".join([*lines, _ON_TOP])


def _table(rows: list[list[str]]) -> str:
    from sightline.cli.tables import table

    return table(rows[0], rows[1:])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
