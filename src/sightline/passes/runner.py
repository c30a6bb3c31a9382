"""The runner: one call of the network at a time, counted, checked, in the wanted precision, within memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import Literal, Self, get_args

import torch
from torch import nn

from sightline.errors import ModelError, NotSupportedError, UsageError, unknown
from sightline.models.classifier import Classifier, device_of, on_device
from sightline.models.devices import as_device
from sightline.models.heads import Head, tell_head, two_sided
from sightline.models.quiet import mixes_batch_mates, quiet
from sightline.passes.batches import Batches
from sightline.passes.failing import NETWORK_ERRORS, why
from sightline.passes.layouts import ask_in_layout
from sightline.passes.linear import quick_linear
from sightline.passes.non_finite import finite, lost_forward
from sightline.passes.numbers import Numbers
from sightline.passes.rounded import RoundedBack
from sightline.passes.runtimes.question import Questions, Runtime
from sightline.passes.same_bits import ask_with_same_bits
from sightline.types import Count, Pixels, Progress, Scores

Precision = Literal["float32", "fast"]
Layout = Literal["as given", "same bits", "fastest"]
"""Of a batch in memory: `fastest` moves gradients by what falls on two sides of a ReLU; `same bits` does not."""

_ASK: dict[Layout, Callable[..., Scores]] = {
    "as given": lambda _, __, ask: ask(torch.preserve_format),
    "same bits": ask_with_same_bits,
    "fastest": ask_in_layout,
}


class Runner(Batches):
    """Calls one classifier; inside its `with` block the network is quiet.

    Attributes:
        classifier: what is called; a copy on `device` where the user's network is elsewhere.
        head: what the scores mean; told by the first call where it was not declared.
        count: passes so far; a batch of n pictures counts as n.
        questions: answers forward-only passes, by a compiled program where that is faster.
        numbers: what passes compute in.
    """

    def __init__(
        self,
        classifier: Classifier,
        precision: Precision,
        device: str | torch.device | None,
        memory: int | None,
        runtime: Runtime = "auto",
    ) -> None:
        if precision not in get_args(Precision):
            raise UsageError(unknown("precision", str(precision), get_args(Precision)))
        self.precision = precision
        self.memory = memory
        self.questions = Questions(runtime)
        self.progress: Progress | None = None
        self.count = Count()
        self.device = as_device(device) if device is not None else device_of(classifier)
        self.numbers = Numbers(self.device, fast=precision == "fast")
        self.classifier = on_device(classifier, self.device)
        self.head: Head = classifier.head
        self._undo = ExitStack()
        self._depth = 0

    def __enter__(self) -> Self:
        if self._depth == 0:
            self._undo.enter_context(quiet(self.network))
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._undo.close()

    @contextmanager
    def working(self) -> Iterator[None]:
        """The network quiet, and inference mode left: tensors made in it could not take part in a gradient."""
        with self, torch.inference_mode(False):
            yield

    @property
    def network(self) -> nn.Module | None:
        """The module, where the classifier is one."""
        return self.classifier.network

    def run(
        self,
        pixels: Pixels,
        rows: int | None = None,
        *,
        layout: Layout | None = None,
        question: bool = False,
        exact: bool = False,
    ) -> Scores:
        """One call: `b c h w` → `b k` float32, one column a class; with a graph where the caller enabled gradients.

        Args:
            pixels: given to the network.
            rows: how many rows of scores there are, where the batch becomes wider on its way. Each counts as a pass.
            layout: of the batch in memory (`layouts.py`, `same_bits.py`); by default as given where there is a graph,
                else the fastest.
            question: whether a program may answer (`sightline.passes.runtimes.question`).
            exact: in the network's own numbers, also with `precision=fast`.

        Raises:
            ModelError: the network cannot take these pixels.
            NonFiniteError: a score is NaN or infinite.
        """
        self.numbers.note(self.numbers.wanted(self.dtype, exact=exact))
        return self._run(pixels, rows, layout=layout, question=question, exact=exact)

    def _run(
        self, pixels: Pixels, rows: int | None = None, *, layout: Layout | None, question: bool = False, exact: bool
    ) -> Scores:
        dtype = self.dtype
        layout = layout or ("as given" if torch.is_grad_enabled() else "fastest")

        def plain(some: Pixels) -> Scores:
            def ask(places: torch.memory_format) -> Scores:
                # The network gets its own copy: one that works in place must not write into our pixels.
                return self._ask(some.to(dtype, copy=True, memory_format=places), rows)

            quick = layout == "fastest" and self.precision != "fast"  # which has linear layers of its own
            with quick_linear(self.network, self.device) if quick else nullcontext():
                return _ASK[layout](self.network, some, ask)

        with self.numbers.autocast(exact=exact):
            fast, asks = self.precision == "fast", self.questions.scores
            raw = asks(self.classifier, pixels, fast, plain) if question else self.questions.watched(plain, pixels)
        self.counted(forward=rows or len(pixels))
        finite(raw, "score", lambda: lost_forward(self.network, lambda: self._ask(pixels.to(dtype), rows)))
        if self.head == "auto":
            self.head = tell_head(raw, traced=raw.requires_grad)
        scores = two_sided(raw, self.head)
        self.classifier = self.classifier.fitted(scores.shape[1])
        return scores

    def traced(self, leaf: Pixels, *, layout: Layout | None = None) -> Scores:
        """One call, `run`, whose graph begins at these pixels.

        With `precision=fast` it runs back in bfloat16, and always in the fastest layout: that moves less than the
        rounding. Forward it stays in float32 (`rounded.py`).
        """
        if self.precision != "fast":
            return self.run(leaf, layout=layout)
        self.numbers.note(self.numbers.traced(self.dtype))
        with RoundedBack():
            return self._run(leaf, layout="fastest", exact=True)

    def scores(self, batch: Pixels) -> Scores:
        """Scores without a graph; the first ones of an undeclared head need the graph to tell what they are."""
        if len(batch) > 1 and mixes_batch_mates(self.network):
            return torch.cat([self.scores(one) for one in batch.split(1)])
        tell = self.head == "auto" and self.classifier.gradients
        with self.working(), torch.enable_grad() if tell else torch.no_grad():
            given = self.given(batch)
            return self.run(given.detach().requires_grad_() if tell else given, question=not tell).detach()

    def reached(self, gradient: torch.Tensor | None, where: Callable[[], str] = lambda: "") -> torch.Tensor:
        """A gradient of the score, checked; `where` tells what is to be said where it is not finite.

        Raises:
            NotSupportedError: there is none: the network runs without autograd, which must not pass for a zero.
            NonFiniteError: it holds NaN or infinity.
        """
        if gradient is None:
            raise NotSupportedError(
                f"no gradient reaches the pixels of {self.classifier.name!r}: its forward runs under no_grad, detaches "
                "or does not look at the picture: use a perturbation method such as occlusion"
            )
        return finite(gradient, "gradient", where)

    def given(self, pixels: Pixels) -> Pixels:
        """The pixels where the network is, fit to take part in a gradient."""
        pixels = pixels.to(self.device)
        return pixels.clone() if pixels.is_inference() else pixels

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Inside, passes are not counted: those that only find out how a question is answered best."""
        before = self.count
        try:
            yield
        finally:
            self.count = before

    def counted(self, forward: int = 0, backward: int = 0) -> None:
        """Add to the count."""
        self.count = self.count + Count(forward, backward)

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in by itself."""
        parameters = self.network.parameters() if self.network is not None else iter(())
        return next((p.dtype for p in parameters if p.is_floating_point()), torch.float32)

    def _ask(self, pixels: Pixels, rows: int | None) -> Scores:
        try:
            return self.classifier.raw_scores(pixels, rows)
        except torch.cuda.OutOfMemoryError:
            raise
        except NETWORK_ERRORS as error:
            raise ModelError(why(error, pixels, self.classifier)) from error
