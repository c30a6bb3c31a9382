"""Passes: how forward and backward passes are run. Methods ask here and never call the network.

One room for batching under a memory budget, precision, counting, progress and cancelling, and for the one clean pass
that all methods on the same pixels share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

from sightline.models.classifier import Classifier, wrap
from sightline.models.heads import Head, probabilities
from sightline.models.linear_head import LinearHead, linear_head
from sightline.models.quiet import mixes_batch_mates
from sightline.models.targets import Target
from sightline.passes.clean import Clean, LayerView
from sightline.passes.looking import look, module_of, survey, view
from sightline.passes.perturbations import Perturbation
from sightline.passes.runner import Precision, Runner
from sightline.types import ChannelMap, Count, Pixels, Progress, Scores


class Passes:
    """Runs passes through one classifier, and counts them.

    Args:
        classifier: what is asked; a module or function is wrapped.
        precision: `float32`, or `fast`: forward and backward in bfloat16, sums in float32.
        device: where to run; by default where the network is. A network that is elsewhere is copied, not moved.
        memory: bytes for activations; by default 1 GiB on a CPU, half of the free memory on a GPU.
        progress: called with (passes done, passes expected) of the question at hand; False cancels.

    A `with` block keeps the network quiet from its beginning to its end; outside of one, every question does so itself.
    """

    def __init__(
        self,
        classifier: Classifier | nn.Module | Callable[..., Any],
        *,
        precision: Precision = "float32",
        device: str | torch.device | None = None,
        memory: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._runner = Runner(wrap(classifier), precision, device, memory)
        self._runner.progress = progress
        self._shared: Clean | None = None

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.__exit__(kind, error, trace)

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

    def _clean(self, pixels: Pixels, gradients: bool, layers: Sequence[str | None]) -> Clean:
        if len(pixels) > 1 and mixes_batch_mates(self.network):
            return Clean(pixels=pixels, scores=self.scores(pixels))  # only the scores can be shared
        with self._runner.working():
            return look(self._runner, pixels, gradients=gradients, layers=layers)

    # ---- what is known -----------------------------------------------------------------------------------------

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

    def pictures_at_once(self, pixels: Pixels, *, gradients: bool) -> int:
        """How many pictures like these go through the network in one batch."""
        return self._runner.at_once(pixels, gradients=gradients)

    # ---- the questions -----------------------------------------------------------------------------------------

    def scores(self, pixels: Pixels) -> Scores:
        """Scores of pictures: `b c h w` → `b k`. Costs b forward passes; none for shared pixels."""
        if (shared := self._of(pixels)) is not None:
            return shared.scores
        run = self._runner
        return torch.cat(run.batched(len(pixels), pixels, lambda rows: run.scores(pixels[rows]), gradients=False))

    def perturbed(self, pixels: Pixels, perturbation: Perturbation) -> Scores:
        """Scores of n perturbed versions of each picture: `b c h w` → `n b k`. Costs n·b forward passes."""
        given = self._runner.given(pixels)

        def ask(rows: slice) -> Scores:
            return self._runner.scores(perturbation.make(given, rows)).unflatten(0, (-1, len(pixels)))

        return torch.cat(self._runner.batched(len(perturbation), given, ask, gradients=False, each=len(pixels)))

    def gradients(self, pixels: Pixels, target: Target) -> ChannelMap:
        """∂score/∂pixels: `b c h w` → `b c h w` float32. Costs b backward passes, and b forward if not shared."""
        shared = self._of(pixels)
        if shared is not None and shared.leaf is not None:
            with self._runner.working():
                (gradient,) = shared.gradients(target, [shared.leaf])
                self._runner.counted(backward=len(pixels))
                return self._runner.reached(gradient).float()

        def ask(rows: slice) -> ChannelMap:
            return self._runner.gradient(pixels[rows], target.rows(rows))

        return torch.cat(self._runner.batched(len(pixels), pixels, ask, gradients=True))

    def mean_gradients(self, pixels: Pixels, path: Perturbation, weights: torch.Tensor, target: Target) -> ChannelMap:
        """Σ_j w_j ∂score/∂(version j): `b c h w` → `b c h w` float32. Costs n·b forward and backward passes."""
        given = self._runner.given(pixels)
        total = torch.zeros(given.shape, dtype=torch.float32, device=self.device)

        def ask(rows: slice) -> None:
            batch = path.make(given, rows)
            gradient = self._runner.gradient(batch, target.tiled(len(batch) // len(pixels)))
            weight = weights[rows].to(gradient)[:, None, None, None, None]
            total.add_((gradient.unflatten(0, (-1, len(pixels))) * weight).sum(0))

        self._runner.batched(len(path), given, ask, gradients=True, each=len(pixels))
        return total

    def layer(self, pixels: Pixels, name: str | None, target: Target | None) -> LayerView:
        """A layer's activations and ∂score/∂activations; the backward pass goes from the score to the layer only.

        Args:
            pixels: `b c h w`.
            name: the layer, or None for the one that suits best.
            target: the score, or None where only the activations are wanted: then nothing is run backward.

        Raises:
            LayerError: no such layer, or none that can be explained at.
        """
        shared = self._of(pixels)
        if shared is not None and (shared.captured or shared.events):
            with self._runner.working():
                return view(self._runner, shared, name, target)

        def ask(rows: slice) -> LayerView:
            clean = look(self._runner, pixels[rows], gradients=False, layers=[name])
            return view(self._runner, clean, name, target.rows(rows) if target is not None else None)

        return LayerView.join(self._runner.batched(len(pixels), pixels, ask, gradients=True))

    def linear_head(self, pixels: Pixels) -> LinearHead | None:
        """The last linear layer of the network, one row of weights a class, if there is one."""
        with self._runner.working():
            head = linear_head(module_of(self.network), survey(self._runner, self._runner.given(pixels)))
        return None if head is None else head.two_sided(self.head)

    def _of(self, pixels: Pixels) -> Clean | None:
        """The shared clean pass, if it was over these very pixels."""
        return self._shared if self._shared is not None and self._shared.pixels is pixels else None
