"""What `sightline compare` and `sightline evaluate` share: options, the plan, and what they print."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sightline.cli.explain import SOME_FAILED
from sightline.cli.network import add_passes
from sightline.cli.parser import Parser, listed, whole
from sightline.cli.watching import Watch

if TYPE_CHECKING:
    from sightline.evaluation.base import Metric
    from sightline.evaluation.comparison import Comparison
    from sightline.models.classifier import Classifier
    from sightline.runs.contest_book import Contest, Entry


class Work(Protocol):
    """What is to be done, once the network is loaded."""

    def __call__(self, classifier: Classifier) -> tuple[Contest, Callable[[Comparison], Sequence[Comparison]]]:
        """The contest, and which parts of the pictures are told apart."""


def add_how(parser: Parser, metrics: str, out: str) -> None:
    """Methods, metrics, how the network is asked, and what comes out."""
    how = parser.add_argument_group("how")
    how.add_argument(
        "--methods",
        "--method",
        action="append",
        metavar="LIST",
        help="names with commas between, as in grad-cam,occlusion(window=64), or all (the default): every method that "
        "the network supports",
    )
    how.add_argument(
        "--metrics",
        "--metric",
        action="append",
        metavar="LIST",
        help=f"who judges, likewise; all: every metric that the truth allows (default: {metrics})",
    )
    how.add_argument("--budget", type=whole(1), metavar="N", help="leave out methods of more passes a picture")
    add_passes(how)
    how.add_argument(
        "--seed",
        type=whole(0),
        default=0,
        metavar="N",
        help="of random methods, random maps and intervals (default: 0)",
    )
    given = parser.add_argument_group("what comes out")
    given.add_argument("--out", default=out, metavar="DIR", help=f"report, values, maps (default: {out})")
    given.add_argument("--plan", action="store_true", help="print what it would cost, and stop")
    given.add_argument("--json", action="store_true", help="print the comparison as JSON, and nothing else")
    given.add_argument("--quiet", action="store_true", help="no plan and no progress")


def methods_of(arguments: argparse.Namespace) -> Any:
    """The methods as `compare` takes them, read before anything heavy."""
    from sightline.attribution.table import METHODS
    from sightline.runs.compare import ALL

    names = listed(arguments.methods, [ALL])
    if ALL in names:
        others = [METHODS.make(name) for name in names if name != ALL]
        return [*others, *(value for name in METHODS if (value := METHODS.make(name)) not in others)] if others else ALL
    return [METHODS.make(name) for name in names]


def metrics_of(arguments: argparse.Namespace, default: Sequence[str], *, truth: bool) -> tuple[Metric, ...]:
    """The metrics; `all` are those of the table, without those that need to know where the object is if nobody does.

    Args:
        arguments: the words.
        default: where none is named.
        truth: whether it is known of every picture where the object is.
    """
    from sightline.evaluation.evaluate import as_metrics
    from sightline.evaluation.table import METRICS
    from sightline.runs.compare import ALL

    names = listed(arguments.metrics, default)
    if ALL not in names:
        return as_metrics(names)
    every = [METRICS.make(name) for name in METRICS]
    left_out = [one.name for one in every if one.traits.needs_mask and not truth]
    if left_out:
        print(f"left out, as nobody said where the object is: {', '.join(left_out)}", file=sys.stderr)
    named = as_metrics([name for name in names if name != ALL]) if len(set(names)) > 1 else ()
    known = {one.name for one in named}
    return (*named, *(one for one in every if one.name not in known and one.name not in left_out))


def contest_of_words(
    arguments: argparse.Namespace,
    classifier: Classifier,
    entries: Sequence[Entry],
    wanted: tuple[Any, tuple[Metric, ...]],
    maps: Mapping[str, Sequence[Any]] | None = None,
) -> Contest:
    """The contest that the words ask for; `wanted` are the methods and the metrics."""
    from sightline.runs.compare import chosen, contest_of, supported
    from sightline.runs.order import Order

    methods, metrics = wanted
    order = Order(
        methods=chosen(methods, classifier, layer=arguments.layer, seed=arguments.seed) if methods else (),
        precision=arguments.precision,
        runtime=arguments.runtime,
    )
    contest = contest_of(classifier, entries, order, metrics, maps=maps or {}, seed=arguments.seed)
    return supported(classifier, contest, arguments.budget)


def perform(arguments: argparse.Namespace, classifier: Classifier, work: Work, notes: Sequence[str] = ()) -> int:
    """Plan, do, write, tell; the exit code."""
    from sightline.reports.folder import OutputFolder
    from sightline.runs.compared import compare_into

    printed = sys.stdout
    with contextlib.ExitStack() as stack:
        folder = None if arguments.plan else stack.enter_context(OutputFolder(Path(arguments.out)))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))  # what other libraries print must not come between
        contest, parts = work(classifier)
        if folder is None or not arguments.quiet:
            words = plan_words(classifier, contest)
            print(words, file=printed if folder is None else sys.stderr)
        if folder is None:
            return 0
        watch = Watch(contest, quiet=arguments.quiet)
        contest = dataclasses.replace(contest, order=dataclasses.replace(contest.order, progress=watch.passes))
        with watch:
            found, manifest = compare_into(
                classifier, contest, folder, command=arguments.words, watch=watch.see, parts=parts, notes=notes
            )
        more = list(parts(found))
    if arguments.json:
        record = found.record() | {
            "parts": [one.record() for one in more],
            "totals": manifest.totals,
            "notes": list(notes),
        }
        print(json.dumps(record, indent=1, allow_nan=False))
    else:
        _tell([found, *more], Path(arguments.out) / manifest.report, notes)
    every = not arguments.methods or any("all" in one.split(",") for one in arguments.methods)
    named = not every and any(str(name) in found.refused for name in contest.refused)
    return SOME_FAILED if found.failures or named else 0


def plan_words(classifier: Classifier, contest: Contest) -> str:
    """What a contest will cost, told before it begins."""
    from sightline.cli.planning import duration
    from sightline.cli.tables import table
    from sightline.runs.compare import foretold

    plans = foretold(classifier, contest)
    told = {str(plan.method) for plan in plans}
    untold = [str(method) for method in contest.order.methods if str(method) not in told]
    pictures = len(contest.entries)
    rows = [
        [f"{'≤ ' if plan.at_most else ''}{plan.passes.forward + plan.passes.backward:,}", duration(plan.seconds),
         str(plan.method)]
        for plan in sorted(plans, key=lambda plan: plan.seconds)
    ]  # fmt: skip
    seconds = pictures * sum(plan.seconds for plan in plans)
    lines = [table(["passes", "seconds", "method, for one picture"], rows)] if rows else []
    lines += [f"not known beforehand: {', '.join(untold)}"] if untold else []
    lines += [f"left out: {name}: {reason}" for name, reason in contest.refused.items()]
    costs = "; ".join(f"{metric} {metric.traits.cost}" for metric in contest.metrics)
    lines.append(
        f"Pictures: {pictures}, about {duration(seconds)} for the maps. Judging each comes on top, passes: {costs}."
    )
    return "\n".join(lines)


def _tell(found: Sequence[Comparison], report: Path, notes: Sequence[str]) -> None:
    from sightline.reports.names import shown

    for number, one in enumerate(found):
        print(f"{chr(10) if number else ''}{shown_lines(one.table())}")
    whole = found[0]
    for note in notes:
        print(f"note: {shown(note)}")
    if whole.refused:
        print("\nnot compared:")
        print("\n".join(f"  {shown(name)}: {shown(reason)}" for name, reason in whole.refused.items()))
    if whole.failures:
        print(f"\nfailed: {len(whole.failures)}, told above and in the report")
    print(f"report: {shown(str(report))}")


def shown_lines(text: str) -> str:
    """Several lines, each as it can be read."""
    from sightline.reports.names import shown

    return "\n".join(shown(line) for line in text.split("\n"))
