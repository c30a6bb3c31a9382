"""Questions about a layer: what is there, how the score changes with it, and what the rest makes of changes there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from sightline.models.layers import Layer
from sightline.models.targets import Target
from sightline.passes.after import after, trial_passes
from sightline.passes.clean import LayerView
from sightline.passes.curvature import curvature
from sightline.passes.finer import finer
from sightline.passes.inside import Inside, inside, one_by_one
from sightline.passes.looking import asked, begins, holds, look, view
from sightline.passes.session import Session
from sightline.passes.versions import Versions
from sightline.types import Pixels, Scores

T = TypeVar("T")


class LayerSession(Session):
    """A session that answers what a network's layers hold."""

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
        if shared is not None and holds(self._runner, shared, name):
            with self._runner.working():
                return asked(self._runner, shared, name, target)

        def ask(rows: slice) -> LayerView:
            clean = look(self._runner, pixels[rows], gradients=False, layers=[name])
            return view(self._runner, clean, name, target.rows(rows) if target is not None else None)

        graph = begins(self._runner, pixels, [name])
        return LayerView.join(self._runner.batched(len(pixels), pixels, ask, gradients=graph))

    def after(self, pixels: Pixels, view: LayerView, versions: Versions) -> Scores:
        """Scores of n versions of a layer's activations: `b c h w` and their view → `n b k`.

        The prefix tokens of a transformer stay as they are. Counts as n·b forward passes, though the pictures are run
        to the layer only once for each part; the first question at a layer makes a trial of five passes.

        Raises:
            NotSupportedError: the layer's activations cannot be exchanged.
        """
        given, found = self._runner.given(pixels), []
        for place, clean in enumerate(view.activations):
            one = given[place : place + 1]

            def ask(rows: slice, one: Pixels = one, clean: torch.Tensor = clean) -> Scores:
                return after(self._runner, one, view.layer, clean, versions.make(clean, rows))

            found.append(torch.cat(self._runner.batched(len(versions), one, ask, gradients=False)))
        return torch.stack(found, 1)

    def trial(self, pixels: Pixels, view: LayerView, versions: int) -> int:
        """How many passes `after` would take besides, at most, to find out how a layer is best exchanged."""
        return trial_passes(self._runner, self._runner.given(pixels), view.layer, versions)

    def inside(self, pixels: Pixels, names: Sequence[str], target: Target, read: Callable[[Inside], T]) -> list[T]:
        """What `read` makes of the gradients at the pixels and at many modules' outputs, a part of the batch at a time.

        The gradients are gone after it: no more are held than memory allows. Costs b forward and backward passes.

        Raises:
            LayerError: the classifier is a function.
        """
        run = self._runner
        each = run.at_once(pixels, gradients=True) if one_by_one(run, pixels, names) else 1

        def ask(rows: slice) -> T:
            return read(inside(run, pixels[rows], names, target.rows(rows)))

        return run.batched(len(pixels), pixels, ask, gradients=True, each=each)

    def curvature(self, pixels: Pixels, layer: Layer, target: Target) -> tuple[torch.Tensor, torch.Tensor]:
        """g = ∂score/∂A and the product of the Hessian ∂²score/∂A² with A at a layer, `b K h w` float32 each.

        Costs b forward and 2·b backward passes.

        Raises:
            NotSupportedError: an operation behind the layer can be differentiated only once.
        """

        def ask(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
            return curvature(self._runner, pixels[rows], layer, target.rows(rows))

        each = self._runner.batched(len(pixels), pixels, ask, gradients=True)
        return torch.cat([first for first, _ in each]), torch.cat([second for _, second in each])

    def finer_layers(self, pixels: Pixels, name: str) -> list[str]:
        """Of every finer grid before a layer the last layer on it, the coarsest grid first; mostly without a pass.

        Raises:
            LayerError: no such layer.
        """
        with self._runner.working():
            return finer(self._runner, pixels, name)
