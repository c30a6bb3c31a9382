"""Passes: how forward and backward passes are run. Methods ask here and never call the network.

One room for batching under a memory budget, precision, counting, progress and cancelling, and for the one clean pass
that all methods on the same pixels share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch

from sightline.models.feature_maps import FeatureMaps, Response
from sightline.models.layers import Layer
from sightline.models.linear_head import LinearHead, linear_head
from sightline.models.rules import Rule
from sightline.models.targets import Target
from sightline.passes.after import after
from sightline.passes.aims import Aim, gradient_at
from sightline.passes.attention import AttentionSession
from sightline.passes.clean import LayerView
from sightline.passes.curvature import curvature
from sightline.passes.inside import Inside, inside, one_by_one
from sightline.passes.looking import finer, holds, look, module_of, survey, view
from sightline.passes.perturbations import Perturbation, Stretch
from sightline.passes.relevance import RelevanceSession
from sightline.passes.ruled import multipliers, ruled_gradient
from sightline.passes.versions import Versions
from sightline.types import ChannelMap, Pixels, Scores

T = TypeVar("T")


class Passes(RelevanceSession, AttentionSession):
    """Runs passes through one classifier, and counts them.

    Args:
        classifier: what is asked; a module or function is wrapped.
        precision: `float32`, or `fast`: forward and backward in bfloat16, sums in float32.
        device: where to run; by default where the network is. A network that is elsewhere is copied, not moved.
        memory: bytes for activations; by default 1 GiB on a CPU, half of the free memory on a GPU.
        progress: called with (passes done, passes expected) of the question at hand; False cancels.

    A `with` block keeps the network quiet from its beginning to its end; outside of one, every question does so itself.
    """

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

    def gradients(self, pixels: Pixels, target: Target, rule: Rule | None = None) -> ChannelMap:
        """∂score/∂pixels: `b c h w` → `b c h w` float32. Costs b backward passes, and b forward if not shared.

        By a rule that changes how gradients pass a ReLU (`sightline.models.rules`), a forward pass is always run.
        """
        if rule is not None:
            return torch.cat(
                self._runner.batched(
                    len(pixels),
                    pixels,
                    lambda rows: ruled_gradient(self._runner, pixels[rows], target.rows(rows), rule),
                    gradients=True,
                )
            )
        shared = self._of(pixels)
        if shared is not None and shared.leaf is not None:
            with self._runner.working():
                (gradient,) = shared.gradients(target, [shared.leaf])
                self._runner.counted(backward=len(pixels))
                return self._runner.reached(gradient).float()

        def ask(rows: slice) -> ChannelMap:
            return self._runner.gradient(pixels[rows], target.rows(rows))[1]

        return torch.cat(self._runner.batched(len(pixels), pixels, ask, gradients=True))

    def multipliers(self, pixels: Pixels, reference: Pixels, target: Target) -> tuple[ChannelMap, torch.Tensor]:
        """DeepLIFT's multipliers `b c h w` float32 and the differences of scores `b`, both against a reference.

        Costs 2·b forward and backward passes: a picture and its reference run side by side.
        """

        def ask(rows: slice) -> tuple[ChannelMap, torch.Tensor]:
            return multipliers(self._runner, pixels[rows], reference[rows], target.rows(rows))

        found = self._runner.batched(len(pixels), pixels, ask, gradients=True, each=2)
        factors, differences = zip(*found, strict=True)
        return torch.cat(factors), torch.cat(differences)

    def mean_gradients(self, pixels: Pixels, path: Perturbation, weights: torch.Tensor, target: Target) -> ChannelMap:
        """Σ_j w_j ∂score/∂(version j): `b c h w` → `b c h w` float32. Costs n·b forward and backward passes."""
        total = torch.zeros(pixels.shape, dtype=torch.float32, device=self.device)

        def add(found: Stretch) -> None:
            weight = weights[found.rows].to(total)[:, None, None, None, None]
            total.add_((found.gradients * weight).sum(0))

        self.along(pixels, path, target, add)
        return total

    def along(self, pixels: Pixels, path: Perturbation, target: Target, see: Callable[[Stretch], None]) -> None:
        """Scores and ∂score/∂(version) of n versions of each picture, a stretch at a time, in order.

        Nothing is kept: `see` takes from each stretch what its sum needs. Costs n·b forward and backward passes.
        """
        given = self._runner.given(pixels)

        def ask(rows: slice) -> Stretch:
            versions = path.make(given, rows)
            scores, gradients = self._runner.gradient(versions, target.tiled(len(versions) // len(pixels)))
            return Stretch(rows, *(part.unflatten(0, (-1, len(pixels))) for part in (versions, scores, gradients)))

        # What is seen cannot be unseen: a stretch is only run again where memory ran out before it was shown.
        self._runner.batched(len(path), given, lambda rows: see(ask(rows)), gradients=True, each=len(pixels))

    def at(
        self, pixels: Pixels, leaf: torch.Tensor, describe: Callable[[torch.Tensor], Perturbation], aim: Aim
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The aim over the versions that are made from a leaf, such as a mask, and its gradient at the leaf.

        Costs n·b forward and backward passes.

        Args:
            pixels: `b c h w`.
            leaf: `b …`, what the versions are made from.
            describe: from the leaf to n versions of each picture; asked anew for each part that is run at once.
            aim: what is summed over the versions.

        Returns:
            the aim of each picture, `b`, and ∂aim/∂leaf, float32 of the leaf's shape.
        """
        return gradient_at(self._runner, pixels, leaf, describe, aim)

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
                return view(self._runner, shared, name, target)

        def ask(rows: slice) -> LayerView:
            clean = look(self._runner, pixels[rows], gradients=False, layers=[name])
            return view(self._runner, clean, name, target.rows(rows) if target is not None else None)

        return LayerView.join(self._runner.batched(len(pixels), pixels, ask, gradients=True))

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

    @contextmanager
    def feature_maps(self, layer: Layer, response: Response) -> Iterator[Passes]:
        """Passes whose scores are the responses of a layer's feature maps, one a channel, counted with these."""
        run = self._runner
        maps = FeatureMaps(module_of(self.network), layer, response)
        classifier = replace(run.classifier, function=maps, labels=None, head="softmax")
        other = Passes(classifier, precision=run.precision, memory=run.memory, progress=run.progress)
        try:
            with self, other:
                yield other
        finally:
            run.count = run.count + other.count

    def linear_head(self, pixels: Pixels) -> LinearHead | None:
        """The last linear layer of the network, one row of weights a class, if there is one."""
        with self._runner.working():
            head = linear_head(module_of(self.network), survey(self._runner, self._runner.given(pixels)))
        return None if head is None else head.two_sided(self.head)
