"""`sightline methods`: what can explain."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sightline.cli.listed import Entry, add_name, first_sentence, show
from sightline.cli.parser import Parser
from sightline.cli.tables import table


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    add_name(parser, "method", "grad-cam")


def run(arguments: argparse.Namespace) -> int:
    """Print the methods; the exit code."""
    from sightline.listing import methods

    return show(arguments, "method", methods(), _overview)


def _overview(entries: Sequence[Entry]) -> str:
    rows = [[one["name"], one["family"], one["cost"], _about(one)] for one in entries]
    return table(["method", "family", "passes", "what it shows"], rows) + "\n\nF forward, B backward passes a picture."


def _about(entry: Entry) -> str:
    guarantees = ["sums to the difference of scores"] if entry["complete"] else []
    guarantees += ["evidence for and against" if entry["signed"] else "evidence for only"]
    guarantees += [] if entry["deterministic"] else ["random, from its seed"]
    return f"{first_sentence(entry)}\nneeds {entry['needs']}; {', '.join(guarantees)}\n{entry['paper']}\n"
