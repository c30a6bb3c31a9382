"""`sightline methods`: what can explain."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

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
    """One table a family: the names are long, and what there is to say of a method is longer."""
    parts = []
    for family, found in groupby(entries, key=itemgetter("family")):
        rows = [[one["name"], _about(one)] for one in found]
        parts.append(table([family, "what it shows"], rows))
    return "\n\n".join(parts) + "\n\nF forward, B backward passes a picture."


def _about(entry: Entry) -> str:
    guarantees = ["sums to the difference of scores"] if entry["complete"] else []
    guarantees += ["evidence for and against" if entry["signed"] else "evidence for only"]
    guarantees += [] if entry["deterministic"] else ["random, from its seed"]
    needs = f"needs {entry['needs']}; {', '.join(guarantees)}"
    return f"{first_sentence(entry)}\npasses: {entry['cost']}\n{needs}\n{entry['paper']}\n"
