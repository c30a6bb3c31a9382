"""Programs that answer forward-only questions: when one is asked, and what is asked of it before."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import nn

from sightline.models.classifier import Classifier
from sightline.passes.runtimes.held import Held
from sightline.passes.runtimes.openvino_program import Numbers, Program
from sightline.types import Pixels, Scores

Plain = Callable[[Pixels], Scores]

_ASKED_AGAIN = 2  # pictures
_TOLERANCE: dict[Numbers, float] = {"f32": 1e-4, "bf16": 3e-2}  # of the largest spread of a picture's scores


@dataclass(eq=False)
class Kept(Held[Program]):
    """A program that gives the scores of pictures of one size."""

    def answers(self, network: nn.Module, pixels: Pixels, plain: Plain) -> Scores | None:
        """The program's answers; None where there is no program, or where it stands for the network no more."""
        if self.program is None:
            return None
        with suppress(RuntimeError):  # of memory, or of a tensor in the network that cannot be read: torch answers
            if self.stands(network):
                found = self.program(pixels)
                if agree(found[:_ASKED_AGAIN], plain(pixels[:_ASKED_AGAIN]), self.numbers):
                    return found
        self.forget()
        return None

    def make(self, classifier: Classifier, pixels: Pixels, plain: Plain, timed: Timed, slow: bool) -> Scores | None:
        """The answers of a new program, if there can be one and it is right and faster; else `refusal` says why not.

        Args:
            classifier: what is asked.
            pixels: the first pictures, `b c h w`.
            plain: asks torch.
            timed: torch's answers about the first pictures.
            slow: whether a program that is slower than torch will do as well.
        """
        found: list[Scores] = []

        def fault(program: Program) -> str | None:
            found.append(program(pixels))
            if not agree(found[0][: len(timed.scores)], timed.scores, self.numbers):
                return "the program's scores are not the network's"
            return None if slow else _slower(program, plain, pixels[: len(timed.scores)], timed.pace)

        def program() -> Program:
            return Program(classifier, pixels, self.numbers)

        return found[0] if self.trusted(classifier, pixels, program, fault) else None


@dataclass(frozen=True, eq=False)
class Timed:
    """Answers, and the seconds a picture."""

    scores: Scores
    pace: float


def timed(ask: Plain, pixels: Pixels) -> Timed:
    """Ask, with a look at the clock."""
    start = time.perf_counter()
    scores = ask(pixels)
    return Timed(scores, (time.perf_counter() - start) / len(pixels))


def agree(found: Scores, expected: Scores, numbers: Numbers) -> bool:
    """Whether scores `b k` are the network's: within the tolerance, relative to the largest spread within a picture."""
    if found.shape != expected.shape or not bool(torch.isfinite(found).all()):
        return False
    spread = expected.amax(1) - expected.amin(1) if expected.shape[1] > 1 else expected.abs().amax(1)
    return bool(((found - expected).abs().amax(1) <= _TOLERANCE[numbers] * spread.max()).all())


def _slower(program: Program, plain: Plain, pixels: Pixels, pace: float) -> str | None:
    """In words, that a program is slower; it must be so twice, since what else the machine does comes between."""
    own = timed(program, pixels).pace
    if own > pace:
        pace, own = timed(plain, pixels).pace, timed(program, pixels).pace
    return f"it is not faster: {own * 1e3:.1f} against {pace * 1e3:.1f} ms a picture" if own > pace else None
