"""`sightline explain`: read the words, check all that can be checked before torch is loaded, run, tell."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.checks import check_figure_kind, check_files, check_masks, check_target
from sightline.cli.network import add_network, add_passes, classifier_of
from sightline.cli.parser import Parser, between, listed, whole

if TYPE_CHECKING:
    from sightline.attribution.result import Attribution
    from sightline.models.classifier import Classifier
    from sightline.pictures.marks import Marks
    from sightline.pictures.style import Style
    from sightline.reports.manifest import Manifest
    from sightline.runs.pictures import Given
    from sightline.runs.run import Job

OUT = "sightline-out"
SOME_FAILED = 3
_EXAMPLES = """examples:
  sightline explain demo:dog-with-bell --model demo/cheat --method occlusion
  sightline explain cat.jpg --target cat-vs-dog --method "integrated-gradients(steps=64, baseline=blur)"
  sightline explain photos/ --model torchvision/resnet50 --metric deletion --json > records.json

The first method is grad-cam where the network has layers, else occlusion. DIR is written whole or not at all; an
earlier run there is replaced, anything else is never touched."""


def add_arguments(parser: Parser) -> None:
    """The options of the command."""
    parser.usage = "sightline explain PICTURE… [options]"
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add(
        "pictures",
        nargs="*",
        metavar="PICTURE",
        help="a file, a folder of pictures, or a built-in one (demo:dog-and-cat)",
    )
    what = parser.add_argument_group("what is explained")
    add_network(what)
    how = parser.add_argument_group("how")
    how.add_argument(
        "--method",
        action="append",
        metavar="SPEC",
        help="as in grad-cam,occlusion(window=75, stride=75); may repeat; `sightline methods`",
    )
    how.add_argument(
        "--metric",
        action="append",
        metavar="SPEC",
        help="as in insertion,deletion(steps=28); may repeat; `sightline metrics`",
    )
    how.add_argument(
        "--judge", action="store_true", help="how far to believe each map: beside random ones, about 400 passes a map"
    )
    how.add_argument(
        "--mask", action="append", metavar="FILE", help="white on the object: one for all, or one a picture"
    )
    how.add_argument(
        "--boxes",
        nargs="?",
        const="otsu",
        metavar="SPEC",
        help="also boxes around what maps show: fixed(share=0.5), quantile(share=0.9) or otsu (default: otsu)",
    )
    add_passes(how)
    how.add_argument("--seed", type=whole(0), metavar="N", help="for methods that draw random numbers")
    _add_output(parser)


def _add_output(parser: Parser) -> None:
    out = parser.add_argument_group("what comes out")
    out.add_argument("--out", default=OUT, metavar="DIR", help=f"report, manifest and maps (default: {OUT})")
    out.add_argument("--plan", action="store_true", help="print what it would cost, and stop")
    out.add_argument("--json", action="store_true", help="print the records as a JSON list, and nothing else")
    out.add_argument("--quiet", action="store_true", help="no progress")
    draw = parser.add_argument_group("how maps are drawn")
    draw.add_argument(
        "--colors", "--colours", metavar="NAME", help="inferno, viridis, jet, …, or colours: black,red,yellow"
    )
    draw.add_argument(
        "--sign", default="all", choices=("all", "positive", "negative", "absolute"), help="(default: all)"
    )
    draw.add_argument(
        "--percentile",
        type=between(0, 100),
        default=99.0,
        metavar="P",
        help="of the values, where the colours end (default: 99)",
    )
    draw.add_argument(
        "--alpha", type=between(0, 1), default=0.75, metavar="A", help="0 picture … 1 map (default: 0.75)"
    )
    draw.add_argument(
        "--share",
        choices=("method", "map", "all"),
        help="which maps share a scale: those of a method, none, all (default: the report offers both)",
    )
    draw.add_argument(
        "--figure", metavar="FILE", help="also a figure for a paper: .png, .pdf or .svg (needs matplotlib)"
    )
    draw.add_argument(
        "--figure-kind",
        default="methods",
        choices=("methods", "panels", "occluded", "zeiler-fergus", "concepts"),
        help="(default: methods)",
    )
    draw.add_argument("--rows", type=whole(1), metavar="N", help="rows of the figure")


def run(arguments: argparse.Namespace) -> int:
    """Do what the words say; the exit code."""
    from sightline.reports.folder import OutputFolder
    from sightline.runs.pictures import given_pictures, with_masks

    pictures = with_masks(given_pictures(arguments.pictures), arguments.mask or [])
    style = _style(arguments)
    check_files(arguments, pictures)
    if arguments.plan:
        return _plan(arguments, pictures, style)
    printed = sys.stdout
    with OutputFolder(Path(arguments.out)) as folder, contextlib.redirect_stdout(sys.stderr):
        # What other libraries print must not come between the records.
        from sightline.cli.progress import Progress
        from sightline.reports.report import MOST_PICTURES
        from sightline.runs.run import run as run_job

        with Progress(pictures, quiet=arguments.quiet) as progress:
            classifier, job = _job(arguments, pictures, style, progress.passes)
            manifest = run_job(classifier, job, folder, progress.done)
        explained = manifest.totals["pictures"] - len(manifest.failures)
        if arguments.figure and explained > MOST_PICTURES:
            print(f"the figure shows the first {MOST_PICTURES} of {explained} pictures")
    if arguments.json:
        print(json.dumps(manifest.records, indent=1, allow_nan=False), file=printed)
    else:
        tell(manifest, Path(arguments.out))
        if manifest.failures:
            print(f"failed: {len(manifest.failures)} of {len(pictures)} pictures, told above and in the report")
    return SOME_FAILED if manifest.failures else 0


def _plan(arguments: argparse.Namespace, pictures: list[Given], style: Style) -> int:
    from sightline.cli.planning import told

    with contextlib.redirect_stdout(sys.stderr):
        words = told(*_job(arguments, pictures, style, lambda *_: None), as_json=arguments.json)
    print(words)
    return 0


def tell(manifest: Manifest, folder: Path) -> None:
    """The run in a few lines for a person."""
    from sightline.cli.tables import run_table
    from sightline.reports.names import shown

    if manifest.records:
        print(run_table(manifest))
    print(f"report: {shown(str(folder / manifest.report))}")


def _job(
    arguments: argparse.Namespace, pictures: list[Given], style: Style, progress: Callable[[int, int], object]
) -> tuple[Classifier, Job]:
    """The network and the job; the words are read before the network is loaded."""
    from sightline.attribution.table import METHODS
    from sightline.evaluation.evaluate import as_metrics
    from sightline.images.thresholds import THRESHOLDS
    from sightline.runs.explain import as_methods
    from sightline.runs.order import Order
    from sightline.runs.run import Job

    methods = [METHODS.make(text) for text in listed(arguments.method, ())]
    metrics = as_metrics(listed(arguments.metric, ())) if arguments.metric else ()
    boxes = THRESHOLDS.make(arguments.boxes) if arguments.boxes else None
    check_masks(metrics, pictures, given=bool(arguments.mask) and boxes is None)
    check_figure_kind(arguments, [one.name for one in methods], len(pictures))
    classifier = classifier_of(arguments)
    check_target(arguments.target, classifier)
    order = Order(
        methods=as_methods(methods or None, classifier, layer=arguments.layer, seed=arguments.seed),
        target=arguments.target,
        precision=arguments.precision,
        runtime=arguments.runtime,
        progress=progress,
    )
    job = Job(
        pictures=pictures,
        order=order,
        metrics=metrics,
        boxes=boxes,
        judge=arguments.judge,
        style=style,
        own_scales=arguments.share is None,
        command=arguments.words,
        figure=_figure(arguments, style) if arguments.figure else None,
        figure_file=Path(arguments.figure) if arguments.figure else None,
    )
    return classifier, job


def _style(arguments: argparse.Namespace) -> Style:
    from sightline.pictures.style import Style

    return Style(
        colours=arguments.colors,
        sign=arguments.sign,
        percentile=arguments.percentile,
        alpha=arguments.alpha,
        share=arguments.share or "method",
    )


def _figure(arguments: argparse.Namespace, style: Style) -> Callable[[list[Attribution], list[Marks]], bytes]:
    from sightline.pictures.axes import figure_bytes
    from sightline.reports.figure import figure

    def draw(results: list[Attribution], marks: list[Marks]) -> bytes:
        made = figure(results, kind=arguments.figure_kind, style=style, rows=arguments.rows, marks=marks)
        return figure_bytes(made, Path(arguments.figure).suffix.lstrip(".").lower())

    return draw
