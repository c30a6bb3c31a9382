"""What to say where a network fails on its pixels: its own reason, and what most often helps against it."""

from __future__ import annotations

import re

from sightline.models.classifier import Classifier
from sightline.types import Pixels

NETWORK_ERRORS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError)
"""What a network's own code may raise about its pixels."""

_MISSING = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: (.+)$")
_CHANNELS = re.compile(r"to have (\d+) channels")


def why(error: Exception, pixels: Pixels, classifier: Classifier) -> str:
    """One line: the network, the size of the pixels, the reason, and the way out where there is a usual one."""
    size = "×".join(map(str, pixels.shape))
    reason = _reason(error)
    return f"{classifier.name} fails on pixels of {size}: {reason}{_way_out(reason, pixels, classifier)}"


def _reason(error: Exception) -> str:
    """The line that says it: the first, of compiled code the last; with the kind of error where that is needed."""
    lines = str(error).strip().splitlines() or [""]
    said = lines[-1] if "TorchScript" in lines[0] else lines[0]
    if isinstance(error, RuntimeError | ValueError | TypeError) and said:
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _way_out(reason: str, pixels: Pixels, classifier: Classifier) -> str:
    if (missing := _MISSING.search(reason)) is not None:
        first = missing[1].split(",")[0].split(" and ")[0]
        return f"; give it its further inputs: sightline.wrap(network, held={{{first}: …}}), in a function for --model"
    channels = _CHANNELS.search(reason)
    wanted = int(channels[1]) if channels is not None else pixels.shape[1]
    if wanted == 1 and pixels.shape[1] == 3:
        return "; it takes pictures in grey: declare preparation='grey, …' (--preparation)"
    if wanted not in (1, 3) and wanted != pixels.shape[1]:
        return f"; pictures have 3 channels: give what has {wanted} as prepared input, a float tensor c h w, in Python"
    if classifier.preparation is None:
        return (
            "; no preparation is declared: if it takes another size, preparation='squash 224' (--preparation) says so"
        )
    return ""
