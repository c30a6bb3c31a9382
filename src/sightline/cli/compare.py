"""`sightline compare`: methods × metrics over pictures, with what is noise said as such."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.checks import check_masks, check_network_files, check_target
from sightline.cli.comparing import add_how, contest_of_words, methods_of, metrics_of, perform
from sightline.cli.maps import add_maps, folders_of
from sightline.cli.network import add_network, classifier_of
from sightline.cli.parser import Parser
from sightline.errors import UsageError

if TYPE_CHECKING:
    from sightline.evaluation.base import Metric
    from sightline.evaluation.comparison import Comparison
    from sightline.models.classifier import Classifier
    from sightline.runs.contest_book import Contest, Entry
    from sightline.runs.pictures import Given
    from sightline.runs.truth.things import Truth

METRICS = ("deletion(steps=28)", "insertion(steps=28)")
OUT = "sightline-compare"
_EXAMPLES = """examples:
  sightline compare photos/ --model torchvision/resnet50 --methods grad-cam,occlusion,lrp
  sightline compare photos/ --methods all --budget 200 --metrics "deletion(steps=28),road" --out compared
  sightline compare demo:dog demo:cat --methods grad-cam,gradient --metrics pointing-game
  sightline compare one.jpg two.jpg --boxes boxes.csv --metrics pointing-game,max-box-acc
  sightline compare photos/ --maps maps-of-another-tool/ --methods grad-cam --metrics deletion,gini

Two random maps and the centre of the picture are always compared, too: a method that is not better than they are says
nothing. With one picture no interval is claimed; few pictures cannot tell many methods apart, which is said.
exit codes: 0 done, 2 the command was wrong, 3 a picture, method or metric failed and is told, the others are done"""


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.usage = "sightline compare PICTURE… [options]"
    parser.epilog = _EXAMPLES
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help="files, folders of pictures, or demo:NAME")
    what = parser.add_argument_group("what is explained")
    add_network(what, target="top (default), an index, a name, A-vs-B: one target a picture")
    what.add_argument(
        "--mask", action="append", metavar="FILE", help="white on the object: one for all, or one a picture"
    )
    what.add_argument(
        "--boxes",
        metavar="FILE",
        help="where the objects are, as `sightline evaluate` takes it: CSV, COCO JSON, VOC XML or a folder of masks; "
        "the truth's class is then explained, unless --target is given",
    )
    add_maps(what)
    add_how(parser, " and ".join(METRICS), OUT)
    parser.set_defaults(target=None)


def run(arguments: argparse.Namespace) -> int:
    """Do what the words say; the exit code."""
    from sightline.runs.pictures import given_pictures, with_masks

    if arguments.mask and arguments.boxes:
        raise UsageError("--mask and --boxes both say where the objects are: give one of them")
    folders = folders_of(arguments.maps or ())
    pictures = with_masks(given_pictures(arguments.pictures), arguments.mask or [])
    check_network_files(arguments)
    with contextlib.redirect_stdout(sys.stderr):
        from sightline.runs.truth.maps import maps_of

        known = arguments.boxes is not None or all(one.mask is not None for one in pictures)
        metrics = metrics_of(arguments, METRICS, truth=known)
        methods = methods_of(arguments) if arguments.methods or not folders else ()
        truth = None if arguments.boxes is None else _truth(arguments.boxes)
        check_masks(metrics, pictures if truth is None else [], given=bool(arguments.mask))
        if truth is not None and not any(metric.traits.needs_mask for metric in metrics):
            raise UsageError(
                "--boxes is for metrics that need to know where the object is: add --metrics pointing-game"
            )
        classifier = classifier_of(arguments)
        if arguments.target is not None:
            check_target(arguments.target, classifier)
        entries, notes = _entries(arguments, pictures, truth, classifier, metrics)
        maps = {name: maps_of(folder, entries) for name, folder in folders.items()}

    def work(classifier: Classifier) -> tuple[Contest, Callable[[Comparison], Sequence[Comparison]]]:
        return contest_of_words(arguments, classifier, entries, (methods, metrics), maps), lambda _: ()

    return perform(arguments, classifier, work, notes=notes)


def _truth(word: str) -> Truth:
    """The objects of a file or folder."""
    from sightline.runs.pictures import existing_file
    from sightline.runs.truth.found import truth_of

    path = Path(word).expanduser()
    return truth_of(path if path.is_dir() else existing_file(word, "truth"), None)


def _entries(
    arguments: argparse.Namespace,
    pictures: Sequence[Given],
    truth: Truth | None,
    classifier: Classifier,
    metrics: Sequence[Metric],
) -> tuple[Sequence[Entry], Sequence[str]]:
    """One entry a picture, or a picture and class of the truth; and what must be known of them."""
    from sightline.runs.contest_book import Entry

    if truth is not None:
        from sightline.runs.truth.given import with_truth

        known = with_truth(pictures, truth, classifier.labels, arguments.target)
        return known.entries, known.notes
    masked = any(metric.traits.needs_mask for metric in metrics)
    target = "top" if arguments.target is None else arguments.target
    return [
        Entry(path=one.path, source=one.source, target=target, mask=one.mask if masked else None) for one in pictures
    ], ()
