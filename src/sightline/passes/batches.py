"""The steps of one question in batches: as many at once as memory allows, with a look at who waits for them."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import torch
from torch import nn

from sightline.errors import CancelledError
from sightline.models.quiet import mixes_batch_mates
from sightline.passes.memory import MEMORY
from sightline.passes.plan import Graph, batch_size
from sightline.passes.runtimes.question import Questions
from sightline.types import Pixels, Progress

T = TypeVar("T")
_QUESTIONS = itertools.count(1)
"""Of all networks and sessions: what is kept of a network outlives the session in which it was looked at."""
_FIRST_BATCH = 8  # pictures at once while nothing is known of what one costs


class Batches(ABC):
    """Cuts questions into batches for one network.

    Attributes:
        questions: answers forward-only passes.
        memory: bytes for activations, where that was asked for.
        progress: told how far a question is; False cancels.
        device: where the network is.
        question: the number of the question at hand: what was looked at in one is looked at again in the next.
    """

    questions: Questions
    memory: int | None
    progress: Progress | None
    device: torch.device
    question: int = 0
    _one: bool = False

    @property
    @abstractmethod
    def network(self) -> nn.Module | None:
        """The module, where the classifier is one."""

    @abstractmethod
    def working(self) -> AbstractContextManager[None]:
        """Inside, the network is fit to be asked."""

    @contextmanager
    def one_question(self) -> Iterator[None]:
        """Inside, all that is asked belongs to one question: nobody changes the network in between."""
        before, self._one = self._one, True
        self.question = self.question if before else next(_QUESTIONS)
        try:
            yield
        finally:
            self._one = before

    def asked(self, total: int, pixels: Pixels, run: Callable[[slice], torch.Tensor], each: int = 1) -> torch.Tensor:
        """`gathered` for one forward-only question, so that a program may answer it."""
        with self.questions.of(total * each):
            return self.gathered(total, pixels, run, gradients=False, each=each)

    def gathered(
        self, total: int, pixels: Pixels, run: Callable[[slice], torch.Tensor], *, gradients: Graph, each: int = 1
    ) -> torch.Tensor:
        """All rows that `batched` gives, as one tensor, which is there from the first batch on.

        Thousands of small answers kept one by one lie between the batches' large tensors, and the allocator can use
        what those leave free no more: memory would grow with the number of passes.
        """
        whole: list[torch.Tensor] = []

        def keep(rows: slice) -> None:
            found = run(rows)
            if not whole:
                whole.append(found.new_empty(total, *found.shape[1:]))
            whole[0][rows] = found

        self.batched(total, pixels, keep, gradients=gradients, each=each)
        return whole[0]

    def batched(
        self, total: int, pixels: Pixels, run: Callable[[slice], T], *, gradients: Graph, each: int = 1
    ) -> list[T]:
        """Run all steps in as large parts as memory allows, `each` pictures a step.

        Parts are halved when a GPU says that it is full.

        Raises:
            CancelledError: the progress function said False.
        """
        if not self._one:
            self.question = next(_QUESTIONS)
        with self.working():
            size = max(1, self.at_once(pixels, gradients=gradients) // each)
            answers: list[T] = []
            done = 0
            while done < total:
                try:
                    answers.append(run(slice(done, min(done + size, total))))
                except torch.cuda.OutOfMemoryError:
                    if size == 1:
                        raise
                    size //= 2
                    torch.cuda.empty_cache()
                    continue
                done = min(done + size, total)
                if self.progress is not None and self.progress(done, total) is False:
                    raise CancelledError(f"cancelled after {done} of {total} passes")
            return answers

    def at_once(self, pixels: Pixels, *, gradients: Graph) -> int:
        """How many pictures like these go through the network in one call."""
        if mixes_batch_mates(self.network):
            return 1
        survey = MEMORY.survey(self.network, pixels) if self.network is not None else None
        if survey is None and self.network is not None:
            return _FIRST_BATCH
        return batch_size(survey, pixels.to(self.device), gradients=gradients, memory=self.memory)
