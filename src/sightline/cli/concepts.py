"""`sightline concepts`: what a layer tells apart in several pictures, as a table and a figure."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.checks import check_figure, check_network_files, check_target
from sightline.cli.explain import SOME_FAILED
from sightline.cli.network import add_network, classifier_of
from sightline.cli.parser import Parser, whole
from sightline.errors import UsageError

if TYPE_CHECKING:
    from sightline.attribution.concepts.found import Concepts

_EXAMPLES = """examples:
  sightline concepts photos/ --model torchvision/resnet50 --figure concepts.png
  sightline concepts elephants/ --model torchvision/resnet50 --method craft --target "African elephant"

All pictures are learnt from together. `top` is the class that most of them are taken for.
exit codes: 0 done, 2 the command was wrong, 3 a picture could not be read and is told, the others are done"""


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.usage = "sightline concepts PICTURE… [options]"
    parser.epilog = _EXAMPLES
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help="files, folders of pictures, or demo:NAME")
    add_network(parser.add_argument_group("what is explained"))
    how = parser.add_argument_group("how")
    how.add_argument(
        "--method",
        default="deep-feature-factorisation",
        metavar="SPEC",
        help="as in craft(patch=64, concepts=10) (default: deep-feature-factorisation)",
    )
    how.add_argument("--layer", metavar="L", help="where (default: found)")
    how.add_argument("--device", metavar="D", help="as torch names it: cpu, cuda, cuda:1, mps")
    how.add_argument("--seed", type=whole(0), metavar="N", help="of the start of the factorisation")
    out = parser.add_argument_group("what comes out")
    out.add_argument("--figure", metavar="FILE", help="where each is strongest: .png, .pdf or .svg (needs matplotlib)")
    out.add_argument("--rows", type=whole(1), metavar="N", help="how many concepts the figure shows")
    out.add_argument("--json", action="store_true", help="print what was found as JSON, and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Do what the words say; the exit code."""
    from sightline.runs.pictures import given_pictures, readable

    given = given_pictures(arguments.pictures)
    check_network_files(arguments)
    if arguments.figure is not None:
        check_figure(arguments.figure, given)
    elif arguments.rows is not None:
        raise UsageError("--rows is for a figure: add --figure FILE")
    pictures = readable(given, lambda line: print(line, file=sys.stderr, flush=True))
    with contextlib.redirect_stdout(sys.stderr):  # what other libraries print must not come between
        found = _found(arguments, [picture.source for picture in pictures])
    if arguments.figure is not None:
        from sightline.pictures.figures import save_figure
        from sightline.reports.figure import figure

        save_figure(figure(found, rows=arguments.rows), Path(arguments.figure))
    if arguments.json:
        print(json.dumps(found.record(), indent=1, allow_nan=False, ensure_ascii=False))
    else:
        tell(found)
    return SOME_FAILED if len(pictures) < len(given) else 0


def tell(found: Concepts) -> None:
    """What was found in a few lines for a person."""
    from sightline.cli.tables import table
    from sightline.pictures.concepts import in_words
    from sightline.reports.names import shown

    rows = []
    for told in found.record()["concepts"]:
        classes = in_words([one["label"] for one in told["classes"]], [one["probability"] for one in told["classes"]])
        pictures = ", ".join(one["picture"] for one in told["examples"][:3])
        rows.append([str(told["concept"]), f"{told['importance']:.3g}", classes, pictures])
    print(f"{found.label} at {found.layer} by {found.method}: {found.method.measure}, on average over the pictures")
    print(table(["concept", "average", "classes", "strongest in"], rows))
    for warning in found.warnings:
        print(f"note: {shown(warning)}")


def _found(arguments: argparse.Namespace, sources: list[object]) -> Concepts:
    from sightline.runs.concepts import concepts

    classifier = classifier_of(arguments)
    check_target(arguments.target, classifier)
    return concepts(
        classifier, sources, arguments.method, target=arguments.target, layer=arguments.layer, seed=arguments.seed
    )
