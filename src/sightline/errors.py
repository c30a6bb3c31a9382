"""Every error Sightline raises on purpose.

SightlineError
├── UsageError               the call or the command was wrong: say what came, what was expected, what to do
│   ├── SpecError              an unknown method, metric, fill, field or value
│   ├── TargetError            a class that the network does not have
│   ├── LayerError             a layer that is not there, or that cannot be explained at
│   ├── ModelError             an unknown network, weights that do not fit, a preparation that cannot be taken
│   └── MissingExtraError      an optional library is not installed
├── PictureError             one picture cannot be read; others are not touched by it
├── NotSupportedError        this method is not defined for this network, with the reason and the way out
├── NonFiniteError           the network answered NaN or infinity for one picture
└── CancelledError           the caller's progress function asked to stop

Anything else that reaches a user is a defect of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SightlineError(Exception):
    """Base of everything below; its text is one line that a user can act on."""


class UsageError(SightlineError):
    """The call or the command was wrong (exit code 2)."""


class SpecError(UsageError):
    """An unknown method, metric, fill, field or value."""


class TargetError(UsageError):
    """A class that the network does not have."""


class LayerError(UsageError):
    """A layer that is not there, or that cannot be explained at."""


class ModelError(UsageError):
    """An unknown network, weights that do not fit, or a preparation that cannot be taken."""


class MissingExtraError(UsageError):
    """An optional library is not installed."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}: pip install 'sightline[{extra}]'")


class PictureError(SightlineError):
    """One picture cannot be read.

    `kind` is one of `missing`, `format`, `truncated`, `corrupt`, `too-large`, `empty`, `shape`.
    """

    def __init__(self, kind: str, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.kind = kind
        self.source = source
        self.reason = reason


class NotSupportedError(SightlineError):
    """This method is not defined for this network."""


class NonFiniteError(SightlineError):
    """The network answered NaN or infinity."""


class CancelledError(SightlineError):
    """The caller's progress function asked to stop."""


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known words most like `word`, best first, compared without case, hyphens and underscores."""
    plain = {plain_word(name): name for name in known}
    close = difflib.get_close_matches(plain_word(word), plain, n=most, cutoff=0.55)
    return [plain[name] for name in close]


def plain_word(word: str) -> str:
    """Lower case, letters and digits only: how names are compared everywhere (`Grad_CAM` is `grad-cam`)."""
    return "".join(character for character in word.casefold() if character.isalnum())


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """One line for an unknown word: what came, the nearest right words, or a few of the known ones."""
    names = list(known)
    close = nearest(word, names)
    if close:
        return f"unknown {kind} {word!r}: did you mean {' or '.join(repr(name) for name in close)}?"
    few = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"unknown {kind} {word!r}: known are {few}"
