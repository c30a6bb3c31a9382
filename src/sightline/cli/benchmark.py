"""`sightline benchmark`: every method on drawn scenes whose evidence is known."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sightline.cli.parser import Parser, whole

RECORD, PAGE = "leaderboard.json", "leaderboard.md"


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.description = (
        "Runs every method on the built-in networks and on drawn scenes whose evidence is known, beside contestants "
        f"that know nothing. Prints the table, writes {RECORD} and {PAGE}. Without --quick: hours."
    )
    parser.add_argument(
        "--quick", action="store_true", help="few scenes, dear methods asked more cheaply: some minutes on two cores"
    )
    parser.add_argument(
        "--method",
        "--methods",
        dest="methods",
        action="append",
        default=[],
        metavar="NAME",
        help="a method with its fields; repeat for more (default: all that `sightline methods` lists)",
    )
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of scenes and intervals (default: 0)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("sightline-out/benchmark"),
        metavar="DIR",
        help="folder for the record and the page (default: sightline-out/benchmark)",
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"where the page goes (default: {PAGE} in --out)")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run the contest, write its record and its page; the exit code."""
    from sightline.reports.leaderboard import page, rows_of
    from sightline.runs.benchmark import benchmark, setting

    names = [name.strip() for given in arguments.methods for name in _split(given)]
    wanted = setting([] if names == ["all"] else names, quick=arguments.quick, seed=arguments.seed)
    record = benchmark(wanted, (lambda _: None) if arguments.quiet else _say)
    arguments.out.mkdir(parents=True, exist_ok=True)
    place = arguments.page or arguments.out / PAGE
    place.parent.mkdir(parents=True, exist_ok=True)
    (arguments.out / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    place.write_text(page(record), encoding="utf-8")
    print(_table(rows_of(record)))
    print(arguments.out / RECORD)
    print(place)
    return 0


def _split(text: str) -> list[str]:
    """A list at its commas, but not at those within brackets: `a,b(c=1,d=2)` is two methods."""
    depth, parts = 0, [""]
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def _table(rows: list[list[str]]) -> str:
    from sightline.cli.tables import table

    return table(rows[0], rows[1:])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
