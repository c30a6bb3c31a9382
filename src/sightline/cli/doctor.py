"""`sightline doctor`: is something wrong with a network, and which methods can be trusted on it."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.checks import check_network_files
from sightline.cli.network import add_answer, classifier_of
from sightline.cli.parser import Parser, listed
from sightline.errors import UsageError

if TYPE_CHECKING:
    from sightline.attribution.base import Method
    from sightline.doctor.findings import Examination, Finding, MethodFinding

SICK = 1
ALL = "all"
_SAID = {"trust": "trust", "care": "with care", "do not trust": "do not trust", "unclear": "cannot be judged"}
_DRAWN = ("demo:dog", "demo:cat", "demo:owl", "demo:dog-and-cat")
_EXAMPLES = """examples:
  sightline doctor --model torchvision/resnet50 photos/
  sightline doctor --model my_code.py:make --weights mine.pt photos/ --methods grad-cam,rise --quick --out doctor.json

Each method is held to the contract on this network (nothing of it changes, the same call gives the same map, another
class another one, …), its maps are held against themselves moved elsewhere, and against those of the network when it
forgets its training. That is about 400 passes for a cheap method. Where the network answers these pictures hardly
otherwise than scrambled ones (it is untrained, say), it is only told of methods whether they keep the contract.

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
    add_answer(add)
    add("--device", metavar="D", help="as torch names it: cpu, cuda, cuda:1, mps")
    add(
        "--methods",
        "--method",
        action="append",
        metavar="LIST",
        help="who is to be trusted, with commas between, all, or none (default: one of each family that fits)",
    )
    add("--quick", action="store_true", help="ask less of each method: one picture, fewer copies and stages")
    add("--out", metavar="FILE", help="also write the findings as JSON into this file")
    add("--json", action="store_true", help="print the findings as JSON, and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Do what the words say; the exit code."""
    from sightline.runs.pictures import given_pictures, readable

    drawn = not arguments.pictures
    given = given_pictures(arguments.pictures or _DRAWN)
    check_network_files(arguments)
    out = None if arguments.out is None else _file(arguments.out)
    pictures = [one.source for one in readable(given, lambda line: print(line, file=sys.stderr, flush=True))]
    with contextlib.redirect_stdout(sys.stderr):
        from sightline.doctor.examine import check_many, examine

        check_many(pictures)
        methods = _methods(arguments.methods)
        classifier = classifier_of(arguments)
        found = examine(classifier, pictures, methods, _progress, quick=arguments.quick)
    if out is not None:
        out.write_text(json.dumps(found.record(), indent=1, allow_nan=False) + "\n", "utf-8")
    if arguments.json:
        print(json.dumps(found.record(), indent=1, allow_nan=False))
    else:
        _tell(found, drawn=drawn and arguments.model.partition("/")[0] != "demo", chosen=methods is None)
    return 0 if found.healthy else SICK


def _methods(words: list[str] | None) -> list[Method] | None:
    """The methods that were named, each once; None for those that suit the network."""
    from sightline.attribution.table import METHODS

    names = listed(words, [])
    if names in ([], ["none"]):
        return [] if names else None
    every = list(METHODS) if ALL in names else []
    return list(dict.fromkeys(METHODS.make(name) for name in [*(n for n in names if n != ALL), *every]))


def _tell(found: Examination, *, drawn: bool, chosen: bool) -> None:
    from sightline.cli.tables import table
    from sightline.doctor.families import LEFT_OUT

    rows = [
        [one.check, one.verdict, f"{one.words}\n→ {one.advice}" if one.advice else one.words] for one in found.findings
    ]
    print(table(["check", "", f"{found.model}, {len(found.pictures)} pictures"], rows))
    if found.methods:
        tried = [
            [one.method, one.trust, f"{one.words}\n→ {one.advice}" if one.advice else one.words]
            for one in found.methods
        ]
        print(f"\n{table(['method', '', 'why'], tried)}\n\n{_summary(found.methods)}")
    if chosen:
        print(LEFT_OUT)
    if drawn:
        print("\nnote: drawn scenes were shown, which this network may not know: give photographs of its classes")
    cares = [one.check for one in found.findings if one.verdict == "care"]
    seen = f", but look at: {', '.join(cares)}" if cares else ""
    print(f"\nnothing is wrong{seen}" if found.healthy else "\nsomething is wrong: see above")


def _summary(methods: Sequence[MethodFinding]) -> str:
    """The answers in a line."""
    said = []
    for trust in ("trust", "care", "do not trust", "unclear"):
        names = [one.method for one in methods if one.trust == trust]
        said += [f"{_SAID[trust]}: {', '.join(names)}"] if names else []
    return "; ".join(said) or "no method could be judged"


def _progress(one: Finding | MethodFinding) -> None:
    from sightline.doctor.findings import Finding

    name, said = (one.check, one.verdict) if isinstance(one, Finding) else (one.method, one.trust)
    print(f"{name}: {said}", file=sys.stderr, flush=True)


def _file(word: str) -> Path:
    path = Path(word)
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--out {word}: give a file in a folder that is there")
    return path
