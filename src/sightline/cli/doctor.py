"""`sightline doctor`: is something wrong with a network, and which methods can be trusted on it."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.comparing import listed
from sightline.cli.network import classifier_of
from sightline.cli.parser import Parser
from sightline.errors import UsageError

if TYPE_CHECKING:
    from sightline.doctor.findings import Examination, Finding, MethodFinding

SICK = 1
_DRAWN = ("demo:dog", "demo:cat", "demo:owl", "demo:dog-and-cat")
_EXAMPLES = """examples:
  sightline doctor --model torchvision/resnet50 photos/
  sightline doctor --model my_code.py:make --weights mine.pt photos/ --methods grad-cam,occlusion --out doctor.json

Give ten photographs or more that the network knows: without them four drawn scenes are shown to it, which tell little
of any network but the built-in ones.
exit codes: 0 nothing is wrong, 1 something is, 2 the command was wrong"""


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.usage = "sightline doctor --model NAME [PICTURE…] [options]"
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("pictures", nargs="*", metavar="PICTURE", help="photographs that the network knows: files or folders")
    add("--model", default="demo", metavar="NAME", help="the network: `sightline models` (default: demo)")
    add("--weights", metavar="FILE", help="take the weights from this file (.safetensors, .pt, .pth, …)")
    add("--labels", metavar="FILE", help="class names, one a line, in the order of the scores")
    add("--preparation", metavar="LINE", help="as in 'resize 256, crop 224, rgb, 0-1' (default: the source's)")
    add("--trust", action="store_true", help="let code inside a Keras file run")
    add("--head", default="auto", metavar="KIND", help="what the scores mean: auto, softmax, sigmoid, …")
    add("--device", metavar="D", help="as torch names it: cpu, cuda, cuda:1, mps")
    add(
        "--methods",
        "--method",
        action="append",
        metavar="LIST",
        help="who is to be trusted, with commas between, or none (default: six usual ones; about 1,100 passes each)",
    )
    add("--out", metavar="FILE", help="also write the findings as JSON into this file")
    add("--json", action="store_true", help="print the findings as JSON, and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Do what the words say; the exit code."""
    from sightline.runs.pictures import existing_file, given_pictures

    drawn = not arguments.pictures
    pictures = [one.source for one in given_pictures(arguments.pictures or _DRAWN)]
    for word, what in ((arguments.weights, "weights"), (arguments.labels, "labels")):
        if word is not None:
            existing_file(word, what)
    out = None if arguments.out is None else _file(arguments.out)
    with contextlib.redirect_stdout(sys.stderr):
        from sightline.attribution.table import METHODS
        from sightline.doctor.examine import examine
        from sightline.doctor.trusting import USUAL

        names = listed(arguments.methods, USUAL)
        methods = [] if names == ["none"] else [METHODS.make(name) for name in names]
        classifier = classifier_of(arguments)
        found = examine(classifier, pictures, methods, _progress)
    if out is not None:
        out.write_text(json.dumps(found.record(), indent=1, allow_nan=False) + "\n", "utf-8")
    if arguments.json:
        print(json.dumps(found.record(), indent=1, allow_nan=False))
    else:
        _tell(found, drawn=drawn and arguments.model.partition("/")[0] != "demo")
    return 0 if found.healthy else SICK


def _tell(found: Examination, *, drawn: bool) -> None:
    from sightline.cli.tables import table

    rows = [
        [one.check, one.verdict, f"{one.words}\n→ {one.advice}" if one.advice else one.words] for one in found.findings
    ]
    print(table(["check", "", f"{found.model}, {len(found.pictures)} pictures"], rows))
    if found.methods:
        tried = [[one.method, one.trust, one.words] for one in found.methods]
        print(f"\n{table(['method', '', 'why'], tried)}")
    if drawn:
        print("\nnote: drawn scenes were shown, which this network may not know: give photographs of its classes")
    print("\nnothing is wrong" if found.healthy else "\nsomething is wrong: see above")


def _progress(one: Finding | MethodFinding) -> None:
    from sightline.doctor.findings import Finding

    name, said = (one.check, one.verdict) if isinstance(one, Finding) else (one.method, one.trust)
    print(f"{name}: {said}", file=sys.stderr, flush=True)


def _file(word: str) -> Path:
    path = Path(word)
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--out {word}: give a file in a folder that is there")
    return path
