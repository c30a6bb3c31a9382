"""`sightline layers`: where a class activation map can look, and where it looks when it is not told."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from sightline.cli.network import add_network, classifier_of
from sightline.cli.parser import Parser

if TYPE_CHECKING:
    from sightline.runs.layers import LayerRow

_EXAMPLES = """examples:
  sightline layers
  sightline layers --model torchvision/resnet50
  sightline explain photo.jpg --model torchvision/resnet50 --method grad-cam --layer layer3"""
_NOTES = (
    "→ is looked at where no layer is named. `sees`: the part of the network's input that a cell in the middle of the "
    "grid depends on, measured on noise. Where no gradient arrives no class activation map can be drawn."
)


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.usage = "sightline layers [PICTURE] [options]"
    parser.epilog = _EXAMPLES
    parser.add_argument("picture", nargs="?", metavar="PICTURE", help="shown to the network (default: noise)")
    add_network(parser.add_argument_group("which network"))
    parser.add_argument("--device", metavar="D", help="as torch names it: cpu, cuda, cuda:1, mps")
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the layers; the exit code."""
    from sightline.runs.pictures import given_pictures

    picture = given_pictures([arguments.picture])[0].source if arguments.picture else None
    with contextlib.redirect_stdout(sys.stderr):
        from sightline.runs.layers import layers

        classifier = classifier_of(arguments)
        found = layers(classifier, picture)
    if arguments.json:
        print(json.dumps([one.record() for one in found], indent=1))
        return 0
    from sightline.cli.tables import table

    print(table(("", "layer", "channels", "grid", "sees", "gradient", "kind"), [_row(one) for one in found]))
    width = shutil.get_terminal_size((100, 24)).columns
    print("\n" + textwrap.fill(_NOTES, max(40, width)))
    return 0


def _row(one: LayerRow) -> list[str]:
    sees = "nothing" if one.sees is None else "all" if one.whole else f"{one.sees[0]} × {one.sees[1]}"
    return [
        "→" if one.default else "",
        one.name,
        str(one.channels),
        f"{one.height} × {one.width}",
        sees,
        "yes" if one.gradient else "no",
        one.kind,
    ]
