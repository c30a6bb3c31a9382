"""Forward-only passes of one question after another: through a compiled program where that is faster, else by torch.

Where the passes of a question (4000 masked pictures) are worth a program, one is made; it is trusted after it gave
torch's answers about the first pictures, and kept if it was faster. Later questions about the same
network take the kept program, once its fingerprint and its answers on two pictures are found to be the network's still.

What that means for numbers: a program sums in another order than torch, and scores differ by some 1e-6 of their spread
in float32. Which of both ran depends on measured times, so that a map may differ by as much from one run to the next.
`runtime="eager"` leaves everything to torch; each result says what ran. Passes that are made to build, check and time
a program are not counted among a method's passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from sightline.errors import MissingExtraError, NotSupportedError, UsageError, unknown
from sightline.models.classifier import Classifier
from sightline.models.quiet import mixes_batch_mates
from sightline.passes.runtimes import openvino_program as openvino
from sightline.passes.runtimes.held import kept_for, last_line
from sightline.passes.runtimes.kept import Kept, Plain, timed
from sightline.passes.runtimes.obstacles import hooked, unlike_float32
from sightline.passes.runtimes.openvino_program import Program
from sightline.types import Pixels, Scores

Runtime = Literal["auto", "eager", "openvino"]
RUNTIMES: tuple[Runtime, ...] = ("auto", "eager", "openvino")

_FEWEST = 16  # passes in a question below which even a kept program is not worth the look whether it still stands
_LOOKED_AT = 8  # pictures, of which torch's pace and answers are taken


class Questions:
    """Runs the forward-only passes of a `Runner`.

    Attributes:
        runtime: `auto`; `eager`: torch alone; `openvino`: a program wherever there can be one, at whatever cost.
        by_program: how many passes programs have run.
        ran: what answered, in words, since the list was emptied.

    Raises:
        UsageError: an unknown runtime.
        MissingExtraError: `openvino` is wanted and not installed.
    """

    def __init__(self, runtime: Runtime) -> None:
        if runtime not in RUNTIMES:
            raise UsageError(unknown("runtime", str(runtime), RUNTIMES))
        if runtime == "openvino" and not openvino.installed():
            raise MissingExtraError("OpenVINO", "fast", "runtime='openvino'")
        self.runtime = runtime
        self.by_program = 0
        self.ran: list[str] = []
        self._ahead = 0
        self._begun = False
        self._program: Program | None = None
        self._paces: dict[torch.Size, float] = {}  # torch's seconds a picture of each size

    @contextmanager
    def of(self, passes: int) -> Iterator[None]:
        """One question of so many forward-only passes; what is asked between questions goes to torch."""
        self._ahead, self._begun, self._program = passes, False, None
        try:
            yield
        finally:
            self._ahead, self._begun, self._program = 0, False, None

    def scores(self, classifier: Classifier, pixels: Pixels, fast: bool, plain: Plain) -> Scores:
        """Raw scores, `b k`, of the next pictures of the question.

        Args:
            classifier: what is asked.
            pixels: `b c h w`, as the network is given them.
            fast: whether bfloat16 is wanted.
            plain: asks torch, in the wanted precision.

        Raises:
            NotSupportedError: `runtime="openvino"`, and there can be no program; with the reason.
        """
        first, self._begun = not self._begun, True
        if first and self._large():
            return self._first(classifier, pixels, fast, plain)
        if self._program is None:
            return plain(pixels)
        try:
            return self._counted(self._program(pixels))
        except RuntimeError as error:  # of memory, or of a batch that the trace did not foresee: the network itself can
            self._program = None
            return self._refused(f"its program fails on {len(pixels)} pictures: {last_line(error)}", plain(pixels))

    def watched(self, plain: Plain, pixels: Pixels) -> Scores:
        """Torch's answers to what is no forward-only question, with a look at the clock."""
        torchs = timed(plain, pixels)
        self._paces[pixels.shape[1:]] = min(torchs.pace, self.pace(pixels))
        return torchs.scores

    def _large(self) -> bool:
        return self.runtime != "eager" and self._ahead >= (1 if self.runtime == "openvino" else _FEWEST)

    def _first(self, classifier: Classifier, pixels: Pixels, fast: bool, plain: Plain) -> Scores:
        """The first answers of a question; whether a program gives the others is decided by them."""
        network, reason = classifier.network, barred(classifier, pixels)
        if network is None or reason is not None:
            return self._refused(reason, plain(pixels))
        kept = kept_for(network, pixels, Kept("bf16" if fast else "f32"))
        answers = kept.answers(network, pixels, plain)
        if answers is None and kept.refusal is None:
            answers = self._made(kept, classifier, pixels, plain)
        if answers is None:
            return self._refused(kept.refusal, plain(pixels))
        self._take(kept)
        return self._counted(answers)

    def _made(self, kept: Kept, classifier: Classifier, pixels: Pixels, plain: Plain) -> Scores | None:
        """The answers of a new program, if it is worth it: by the pace known, then by a closer look."""
        network, forced = classifier.network, self.runtime == "openvino"
        assert network is not None
        kept.eager += self._ahead
        if not forced and not kept.pays(network, self.pace(pixels)):
            return None
        torchs = timed(plain, pixels[:_LOOKED_AT])
        self._paces[pixels.shape[1:]] = torchs.pace
        worth = torch.isfinite(torchs.scores).all() and (forced or kept.pays(network, torchs.pace))
        return kept.make(classifier, pixels, plain, torchs, slow=forced) if worth else None

    def _take(self, kept: Kept) -> None:
        self._program = kept.program
        self.say(kept.words)

    def _counted(self, answers: Scores) -> Scores:
        self.by_program += len(answers)
        return answers

    def _refused(self, reason: str | None, answers: Scores) -> Scores:
        if reason is not None:
            if self.runtime == "openvino":
                raise NotSupportedError(f"runtime='openvino' cannot be had: {reason}; use runtime='auto'")
            self.say(f"torch ({reason})")
        return answers

    def pace(self, pixels: Pixels) -> float:
        """Torch's seconds a picture of this size, as far as is known: infinity before the first."""
        return self._paces.get(pixels.shape[1:], math.inf)

    def say(self, what: str) -> None:
        """Note what answered."""
        if what not in self.ran:
            self.ran.append(what)


def barred(classifier: Classifier, pixels: Pixels) -> str | None:
    """Why there can be no program whatever it costs, as far as can be told without a pass; None where there can."""
    network = classifier.network
    if not openvino.installed():
        return "OpenVINO is not installed: pip install 'sightline[fast]'"
    if network is None or classifier.takes != "tensor":
        return "the classifier is a function, not a torch network"
    if pixels.device.type != "cpu":
        return f"the network is on {pixels.device.type}"
    if mixes_batch_mates(network):
        return "it mixes the pictures of a batch, or has a batch of one built in"
    return "a module of it has hooks" if hooked(network) else unlike_float32(network)
