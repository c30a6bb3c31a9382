"""`sightline explain --plan`: what each method would cost, told before anything heavy is run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightline.cli.tables import table
from sightline.reports.names import shown

if TYPE_CHECKING:
    from sightline.models.classifier import Classifier
    from sightline.runs.plan import Plan
    from sightline.runs.run import Job

_HEAD = ("forward", "backward", "seconds", "batch", "memory", "method")


def told(classifier: Classifier, job: Job, *, as_json: bool) -> str:
    """The plan for the first picture of a job, in words or as JSON.

    Raises:
        PictureError: the picture cannot be read.
        NotSupportedError: a method that is not defined for the network, or does not tell what it costs.
    """
    from sightline.runs.plan import planned

    found = planned(classifier, job.pictures[0].source, job.order)
    if as_json:
        return json.dumps([one.record() for one in found], indent=1)
    notes = [_for_one(len(job.pictures), found)]
    if len(found) > 1:
        notes.append("Each method by itself: the clean pass and gradients at a layer that several need are run once.")
    if any(one.at_most for one in found):
        notes.append("≤: it may stop earlier.")
    if job.metrics:
        notes.append("Metrics are not counted.")
    return "\n".join([table(_HEAD, [_row(one) for one in found]), "", *notes])


def _for_one(pictures: int, found: Sequence[Plan]) -> str:
    seconds = sum(one.seconds for one in found)
    words = f"For one target of {shown(found[0].picture)}: about {duration(seconds)} of passes on this machine."
    if pictures > 1:
        words += f" For {pictures} pictures of its size: about {duration(pictures * seconds)}."
    return words


def _row(one: Plan) -> list[str]:
    bound = "≤ " if one.at_most else ""
    counts = (f"{bound}{count:,}" if count else "0" for count in (one.passes.forward, one.passes.backward))
    return [*counts, duration(one.seconds), str(one.batch), _size(one.memory), str(one.method)]


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 99.5:  # from there on two digits would be 1e+02
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"
