"""How it was measured, and what is left out and why."""

from __future__ import annotations

from collections.abc import Sequence

from speed.store import Record

LEFT_OUT = [
    "Xplique: it is made for TensorFlow and asks PyTorch networks through a wrapper, in an environment of its own; "
    "that would time the wrapper. Its maps are compared on [the page of parity](parity.md).",
    "Quantus' ROAD: it fails on pictures of three channels (it spreads the map over them, and then takes places among "
    "all three for pixels).",
    "GPUs: everything here ran on a CPU.",
]


def protocol(records: Sequence[Record]) -> list[str]:
    """The measurement, in sentences; machine and versions from the records."""
    return [
        *_machines(records),
        "Everybody has one untimed go, then timed rounds in which everybody has a turn, every other round backwards; "
        "the number is the median. Work of minutes is run once.",
        "Time is wall time, or, where *cpu time* is said, the processor time of the process with one thread: other "
        "programs that run at the same time lengthen it less.",
        "Long work is run by a share of its passes, for everybody the same unless the row says that ours is run whole, "
        "and the time is scaled: how many were run of how many is in the row. What is done once in a call (preparing, "
        "laying out the regions) is scaled with it, which is to the disadvantage of whoever does more of it.",
        "Work on 8 pictures for which a package has only a procedure for one is run on one and counted eight times.",
        "The limit is the number of passes that the work needs by its definition, times the fastest plain pass of the "
        "same run at the same precision: torch as given, with channels last (batch normalisation folded), and OpenVINO "
        "for forward passes; least of two rounds, same batch size for all work of a row. Work that needs fewer "
        "operations than whole passes can be below 1.",
        "Memory is the highest that the process held during a go over what it held before the first one, that is over "
        "the network and the packages; what was prepared once and stays is part of it.",
        "Agreement: the least Spearman correlation of all values, and the largest difference in parts of the package's "
        "largest value, of its map and ours in float32; after `fast` the same of our two maps. – where the definitions "
        "or the random samples differ.",
        "Packages are asked with the batch sizes that their documentation offers for it (`internal_batch_size`, "
        "`perturbations_per_eval`, `batch_size`), 16 pictures at a time (torch-cam's Score-CAM 32, its default); none "
        "runs under autocast.",
        "VGG-16 and MobileNetV2 have random weights, which takes as long; agreement there says little.",
        "Again: `make bench`, or `make bench QUICK=1` in some minutes; `python -m speed --only NAME --networks NAME` "
        "for one row.",
    ]


def _machines(records: Sequence[Record]) -> list[str]:
    """With what, once for each machine and set of versions."""
    said: dict[str, list[str]] = {}
    for record in records:
        about = record.about
        versions = ", ".join(
            f"{name} {number}" for part in ("versions", "peers") for name, number in about[part].items()
        )
        line = f"{about['machine']}, {about['cores']} cores; Python {about['python']}, {versions}"
        said.setdefault(line, []).append(record.date)
    return [f"{line}. Measured {_span(dates)}." for line, dates in said.items()]


def _span(dates: list[str]) -> str:
    first, last = min(dates), max(dates)
    return first if first == last else f"{first} to {last}"
