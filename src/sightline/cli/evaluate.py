"""`sightline evaluate`: methods, or the maps of another tool, on photographs whose objects are known."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.checks import check_network_files, check_target
from sightline.cli.comparing import add_how, contest_of_words, methods_of, metrics_of, perform
from sightline.cli.maps import add_maps, folders_of
from sightline.cli.network import add_network, classifier_of
from sightline.cli.parser import Parser, whole

if TYPE_CHECKING:
    from sightline.evaluation.comparison import Comparison
    from sightline.models.classifier import Classifier
    from sightline.runs.contest_book import Contest

METRICS = ("pointing-game", "relevance-mass")
OUT = "sightline-evaluate"
TRUTH = "truth"
_EXAMPLES = """examples:
  sightline evaluate photos/ --methods grad-cam,lrp --model torchvision/resnet50
  sightline evaluate val2017/ --truth instances_val2017.json --most 50 --metrics pointing-game,deletion
  sightline evaluate photos/ --truth boxes.csv --maps maps-of-another-tool/

The truth is a CSV of boxes (file,label,x0,y0,x1,y1), a COCO JSON (polygons, boxes, run-length masks), Pascal VOC XML
files, or mask pictures (masks/dog.png or dog_mask.png). Objects of a quarter of the picture or less are told apart.
exit codes: 0 done, 2 the command was wrong, 3 a picture, method or metric failed and is told, the others are done"""


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.usage = "sightline evaluate DATA [options]"
    parser.epilog = _EXAMPLES
    parser.add_argument("data", metavar="DATA", help="a folder of photographs with truth, or the truth's file in it")
    what = parser.add_argument_group("what is explained")
    what.add_argument("--truth", metavar="FILE", help="the truth, where it is not found by what is there")
    add_network(what, target="in place of the truth's class (default: that, else top)")
    what.add_argument("--most", type=whole(1), metavar="N", help="only the first N pictures of the truth")
    add_maps(what)
    add_how(parser, " and ".join(METRICS), OUT)
    parser.set_defaults(target=TRUTH)


def run(arguments: argparse.Namespace) -> int:
    """Do what the words say; the exit code."""
    data = _place(arguments.data)
    truth_file = None if arguments.truth is None else _place(arguments.truth)
    folders = folders_of(arguments.maps or ())
    check_network_files(arguments)
    with contextlib.redirect_stdout(sys.stderr):
        from sightline.runs.truth.found import entries_of, truth_of
        from sightline.runs.truth.maps import maps_of

        metrics = metrics_of(arguments, METRICS, truth=True)
        methods = methods_of(arguments) if arguments.methods or not folders else ()
        truth = truth_of(data, truth_file)
        classifier = classifier_of(arguments)
        target = None if arguments.target == TRUTH else arguments.target
        if target is not None:
            check_target(target, classifier)
        known = entries_of(data, truth, classifier.labels, target, arguments.most)
        maps = {name: maps_of(folder, known.entries) for name, folder in folders.items()}

    def work(classifier: Classifier) -> tuple[Contest, Callable[[Comparison], Sequence[Comparison]]]:
        contest = contest_of_words(arguments, classifier, known.entries, (methods, metrics), maps)
        return contest, lambda found: _parts(found, known.difficult)

    print(f"{truth.form}, pictures and classes: {len(known.entries)}", file=sys.stderr)
    return perform(arguments, classifier, work, notes=known.notes)


def _parts(found: Comparison, difficult: Sequence[bool]) -> list[Comparison]:
    """The difficult pictures by themselves, where they are not all or none."""
    kept = [difficult[place] for place in found.places]
    if all(kept) or not any(kept):
        return []
    return [found.subset(kept, "difficult: the object covers a quarter of the picture or less")]


def _place(word: str) -> Path:
    """A file or folder that is there."""
    from sightline.runs.pictures import existing_file

    path = Path(word).expanduser()
    return path if path.is_dir() else existing_file(word, "truth")
