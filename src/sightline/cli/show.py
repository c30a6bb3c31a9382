"""`sightline show`: what a run found, from its folder. torch is not needed for this."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sightline.cli.parser import Parser


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.add_argument("folder", metavar="DIR", help="the folder that `sightline explain --out` made")
    parser.add_argument("--json", action="store_true", help="the records as a JSON list")


def run(arguments: argparse.Namespace) -> int:
    """Print the records; the exit code."""
    from sightline.cli.explain import tell
    from sightline.reports.manifest import read_manifest
    from sightline.reports.names import shown

    manifest = read_manifest(arguments.folder)
    if arguments.json:
        print(json.dumps(manifest.records, indent=1))
    else:
        tell(manifest, Path(arguments.folder))
        for failure in manifest.failures:
            print(f"failed: {shown(failure['picture'])}: {shown(failure['reason'])}")
    return 0
