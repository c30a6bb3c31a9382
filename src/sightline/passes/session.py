"""A session with one classifier: what is known of it, and the one clean pass that all questions share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

from sightline.models.classifier import Classifier, wrap
from sightline.models.heads import Head, probabilities
from sightline.models.quiet import mixes_batch_mates
from sightline.models.targets import Target
from sightline.passes.clean import Clean
from sightline.passes.looking import begins, look
from sightline.passes.memory import MEMORY
from sightline.passes.plan import picture_bytes
from sightline.passes.runner import Precision, Runner
from sightline.passes.runtimes.question import Runtime
from sightline.types import Count, Pixels, Progress, Scores


class Session:
    """Keeps one classifier quiet while it is asked, and counts what the answers cost.

    Args:
        classifier: what is asked; a module or function is wrapped.
        precision: `float32`, or `fast`: forward and backward in bfloat16, sums in float32.
        device: where to run; by default where the network is. A network that is elsewhere is copied, not moved.
        memory: bytes for activations; by default 1 GiB on a CPU, half of the free memory on a GPU.
        progress: called with (passes done, passes expected) of the question at hand; False cancels.
        runtime: of forward-only questions (passes.runtimes.question), the way to a layer (passes.to_layer) and
            gradients at the pixels (passes.gradient_pass): `auto`, `eager` (torch alone) or `openvino`.

    A `with` block keeps the network quiet from its beginning to its end; outside of one, every question does so itself.

    Attributes:
        numbers: what the passes computed in that `ran` was asked about last (`sightline.passes.numbers`).
    """

    def __init__(
        self,
        classifier: Classifier | nn.Module | Callable[..., Any],
        *,
        precision: Precision = "float32",
        device: str | torch.device | None = None,
        memory: int | None = None,
        progress: Progress | None = None,
        runtime: Runtime = "auto",
    ) -> None:
        self._runner = Runner(wrap(classifier), precision, device, memory, runtime)
        self._runner.progress = progress
        self._shared: Clean | None = None
        self.numbers: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.__exit__(kind, error, trace)

    @contextmanager
    def one_question(self) -> Iterator[None]:
        """Inside, all that is asked belongs to one question, such as the steps of a descent.

        Whether programs still stand for the network is looked at once: nobody may change it in between.
        """
        with self._runner.one_question():
            yield

    @contextmanager
    def shared(self, pixels: Pixels, *, gradients: bool = False, layers: Sequence[str | None] = ()) -> Iterator[Scores]:
        """One clean pass over `pixels`, kept for every question about them inside the block.

        Args:
            pixels: `b c h w`.
            gradients: whether gradients at the pixels will be asked for.
            layers: the layers that will be asked for; None for the one that suits best.

        Yields:
            the scores, `b k`.
        """
        with self:
            before, self._shared = self._shared, self._clean(pixels, gradients, layers)
            try:
                yield self._shared.scores
            finally:
                self._shared = before

    def shares(self, pixels: Pixels) -> bool:
        """Whether a clean pass over these very pixels is kept at the moment."""
        return self._shared is not None and self._shared.pixels is pixels

    def _clean(self, pixels: Pixels, gradients: bool, layers: Sequence[str | None]) -> Clean:
        run = self._runner
        before = run.numbers.taken()
        if len(pixels) > 1 and mixes_batch_mates(self.network):
            clean = Clean(pixels=pixels, scores=run.scores(pixels))  # only these can be shared
        else:
            with run.working():
                clean = look(run, pixels, gradients=gradients, layers=layers)
        # A method computes in what the clean pass did only if it uses it.
        clean.numbers = run.numbers.taken()
        run.numbers.note(*before)
        return clean

    @property
    def classifier(self) -> Classifier:
        """What is asked."""
        return self._runner.classifier

    @property
    def network(self) -> nn.Module | None:
        """The module, where the classifier is one."""
        return self._runner.network

    @property
    def device(self) -> torch.device:
        """Where passes run."""
        return self._runner.device

    @property
    def precision(self) -> Precision:
        """`float32` or `fast`."""
        return self._runner.precision

    @property
    def count(self) -> Count:
        """Passes so far; a batch of n pictures counts as n."""
        return self._runner.count

    def ran(self) -> str:
        """What has answered since this was last asked: `torch`, or `openvino 2026.4.1, float32` for forward passes."""
        told, self._runner.questions.ran = self._runner.questions.ran, []
        self.numbers = self._runner.numbers.taken()
        return "; ".join(told) or "torch"

    @property
    def head(self) -> Head:
        """What the scores mean; known after the first pass."""
        return self._runner.head

    def probability(self, scores: Scores, target: Target) -> torch.Tensor:
        """The probability of the target for each row of scores, `b`."""
        return target.probability(scores, self.head)

    def probabilities(self, scores: Scores) -> torch.Tensor:
        """The probability of every class, `b k`."""
        return probabilities(scores, self.head)

    def pictures_at_once(self, pixels: Pixels, *, gradients: bool, layers: Sequence[str | None] = ()) -> int:
        """How many pictures like these go through the network in one batch; the questions are those of `shared`."""
        return self._runner.at_once(pixels, gradients=gradients or begins(self._runner, pixels, layers))

    def knows(self, pixels: Pixels) -> bool:
        """Whether a pass over pictures of this size has shown what they need."""
        return self.network is None or MEMORY.survey(self.network, pixels) is not None

    def bytes_a_picture(self, pixels: Pixels, *, gradients: bool, layers: Sequence[str | None] = ()) -> int:
        """What one picture like these needs in such a pass, as memory is planned."""
        known = MEMORY.survey(self.network, pixels) if self.network is not None else None
        kept = picture_bytes(known, pixels, gradients=gradients or begins(self._runner, pixels, layers))
        return kept + pixels[0].numel() * pixels.element_size()

    def _of(self, pixels: Pixels) -> Clean | None:
        """The shared clean pass, if it was over these very pixels."""
        if self._shared is None or self._shared.pixels is not pixels:
            return None
        if self._shared.ran is not None:
            self._runner.questions.say(self._shared.ran)
        self._runner.numbers.note(*self._shared.numbers)
        return self._shared
