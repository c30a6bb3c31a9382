"""Truth for pictures that were named one by one, as `sightline compare PICTURE… --boxes FILE` takes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline.errors import UsageError, nearest
from sightline.models.targets import Labels
from sightline.reports.names import shown
from sightline.runs.pictures import Given
from sightline.runs.truth.found import Set, collected
from sightline.runs.truth.matching import matched
from sightline.runs.truth.things import Truth


def with_truth(pictures: Sequence[Given], truth: Truth, labels: Labels, target: str | None = None) -> Set:
    """One entry a picture and class, as `entries_of` makes them, for these pictures only.

    Args:
        pictures: files; each must be in the truth, by its name or, where that says no suffix, by its stem.
        truth: what is known of them, and perhaps of others.
        labels: the network's class names.
        target: what is explained in place of the truth's class.

    Raises:
        UsageError: a picture of which the truth knows nothing, or an object outside of its picture.
    """
    files = {one: one.source if isinstance(one.source, Path) else Path(one.path) for one in pictures}
    known = {one.file: one for one in matched(truth, list(dict.fromkeys(files.values())))}
    there = []
    for file in files.values():
        if file not in known:
            close = nearest(file.name, [Path(name).name for name in truth.things], most=1)
            hint = f"; did you mean {shown(close[0])}?" if close else ""
            raise UsageError(f"the {truth.form} know nothing of {shown(file.name)}{hint}")
        there.append(known[file])
    return collected(there, labels, target, None, truth.notes)
