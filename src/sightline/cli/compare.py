"""`sightline compare`: methods × metrics over pictures, with what is noise said as such."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sightline.cli.checks import check_masks, check_target
from sightline.cli.comparing import add_how, contest_of_words, listed, methods_of, perform
from sightline.cli.explain import add_network
from sightline.cli.network import classifier_of
from sightline.cli.parser import Parser

if TYPE_CHECKING:
    from sightline.evaluation.comparison import Comparison
    from sightline.models.classifier import Classifier
    from sightline.runs.contest_book import Contest

METRICS = ("deletion(steps=28)", "insertion(steps=28)")
OUT = "sightline-compare"
_EXAMPLES = """examples:
  sightline compare photos/ --model torchvision/resnet50 --methods grad-cam,occlusion,lrp
  sightline compare photos/ --methods all --budget 200 --metrics "deletion(steps=28),road" --out compared
  sightline compare demo:dog demo:cat --methods grad-cam,gradient --metrics pointing-game

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
    add_how(parser, " and ".join(METRICS), OUT)


def run(arguments: argparse.Namespace) -> int:
    """Do what the words say; the exit code."""
    from sightline.runs.pictures import existing_file, given_pictures, with_masks

    pictures = with_masks(given_pictures(arguments.pictures), arguments.mask or [])
    for word, what in ((arguments.weights, "weights"), (arguments.labels, "labels")):
        if word is not None:
            existing_file(word, what)
    with contextlib.redirect_stdout(sys.stderr):
        from sightline.evaluation.evaluate import as_metrics

        metrics, methods = as_metrics(listed(arguments.metrics, METRICS)), methods_of(arguments)
        check_masks(metrics, pictures, given=bool(arguments.mask))
        classifier = classifier_of(arguments)
        check_target(arguments.target, classifier)

    def work(classifier: Classifier) -> tuple[Contest, Callable[[Comparison], Sequence[Comparison]]]:
        from sightline.runs.contest_book import Entry

        masked = any(metric.traits.needs_mask for metric in metrics)
        entries = [
            Entry(path=one.path, source=one.source, target=arguments.target, mask=one.mask if masked else None)
            for one in pictures
        ]
        return contest_of_words(arguments, classifier, entries, (methods, metrics)), lambda _: ()

    return perform(arguments, classifier, work)
