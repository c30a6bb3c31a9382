"""`sightline models`: where networks come from."""

from __future__ import annotations

import argparse
import json

from sightline.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the sources; the exit code. torch is not needed for this."""
    from sightline.cli.tables import table
    from sightline.models.catalogue import models

    sources = models()
    if arguments.json:
        print(json.dumps(sources, indent=1))
        return 0
    rows = [
        [
            one["name"],
            "yes" if one["available"] else f"pip install 'sightline[{one['extra']}]'",
            one["example"],
            one["what"],
        ]
        for one in sources
    ]
    print(table(["--model", "installed", "for example", "what"], rows))
    return 0
