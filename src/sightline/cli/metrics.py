"""`sightline metrics`: what can judge a map."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sightline.cli.listed import Entry, add_name, first_sentence, show
from sightline.cli.parser import Parser
from sightline.cli.tables import table


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    add_name(parser, "metric", "deletion")


def run(arguments: argparse.Namespace) -> int:
    """Print the metrics; the exit code."""
    from sightline.listing import metrics

    return show(arguments, "metric", metrics(), _overview)


def _overview(entries: Sequence[Entry]) -> str:
    rows = [[one["name"], one["family"], one["better"], _about(one)] for one in entries]
    return table(["metric", "family", "better", "what it tells"], rows)


def _about(entry: Entry) -> str:
    mask = "needs --mask; " if entry["needs_mask"] else ""
    return f"{first_sentence(entry)}\n{mask}{entry['range']}; passes: {entry['cost']}\n{entry['paper']}\n"
