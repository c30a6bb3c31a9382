"""Passes: how forward and backward passes are run. Methods ask here and never call the network.

One room for batching under a memory budget, precision, counting, progress and cancelling, and for the one clean pass
that all methods on the same pixels share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch

from sightline.errors import NonFiniteError
from sightline.models.classifier import Classifier
from sightline.models.feature_maps import FeatureMaps, Response
from sightline.models.layers import Layer
from sightline.models.linear_head import LinearHead, linear_head
from sightline.models.rules import Rule
from sightline.models.targets import Target
from sightline.passes.aims import Aim, gradient_at
from sightline.passes.at_layers import LayerSession
from sightline.passes.attention import AttentionSession
from sightline.passes.gradient_pass import gradient
from sightline.passes.looking import at_pixels, module_of, survey
from sightline.passes.perturbations import Perturbation, Stretch, Windows
from sightline.passes.relevance import RelevanceSession
from sightline.passes.ruled import multipliers, ruled_gradient
from sightline.passes.runner import Precision
from sightline.passes.windows.engine import in_part
from sightline.types import ChannelMap, Pixels, Scores


class Passes(LayerSession, RelevanceSession, AttentionSession):
    """Runs passes through one classifier, and counts them.

    Args:
        classifier: what is asked; a module or function is wrapped.
        precision: `float32`, or `fast`: forward and backward in bfloat16, sums in float32.
        device: where to run; by default where the network is. A network that is elsewhere is copied, not moved.
        memory: bytes for activations; by default 1 GiB on a CPU, half of the free memory on a GPU.
        progress: called with (passes done, passes expected) of the question at hand; False cancels.
        runtime: of forward-only questions (passes.runtimes.question), the way to a layer (passes.to_layer) and
            gradients at the pixels (passes.gradient_pass): `auto`, `eager` (torch alone) or `openvino`.

    A `with` block keeps the network quiet from its beginning to its end; outside of one, every question does so itself.
    """

    def scores(self, pixels: Pixels) -> Scores:
        """Scores of pictures: `b c h w` → `b k`. Costs b forward passes; none for shared pixels."""
        if (shared := self._of(pixels)) is not None:
            return shared.scores
        run = self._runner
        return run.asked(len(pixels), pixels, lambda rows: run.scores(pixels[rows]))

    def perturbed(self, pixels: Pixels, perturbation: Perturbation) -> Scores:
        """Scores of n perturbed versions of each picture: `b c h w` → `n b k`. Costs n·b forward passes.

        Windows are run in part where the network allows it (`sightline.passes.windows`), and count as whole passes.
        """
        given = self._runner.given(pixels)
        if isinstance(perturbation, Windows) and (found := in_part(self._runner, given, perturbation)) is not None:
            return found

        def ask(rows: slice) -> Scores:
            return self._runner.scores(perturbation.make(given, rows)).unflatten(0, (-1, len(pixels)))

        return self._runner.asked(len(perturbation), given, ask, each=len(pixels))

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
                return at_pixels(self._runner, shared, shared.leaf, target)

        def ask(rows: slice) -> ChannelMap:
            return gradient(self._runner, pixels[rows], target.rows(rows))[1]

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
            try:
                scores, gradients = gradient(self._runner, versions, target.tiled(len(versions) // len(pixels)))
            except NonFiniteError as error:
                if len(each := range(rows.start, rows.stop)) > 1:
                    for row in each:
                        ask(slice(row, row + 1))  # one of them raises, and says which it is
                which = f"; that is point {rows.stop} of {len(path)} on the way" if len(path) > 1 else ""
                raise NonFiniteError(f"{error}{which}") from error
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

    @contextmanager
    def feature_maps(self, layer: Layer, response: Response) -> Iterator[Passes]:
        """Passes whose scores are the responses of a layer's feature maps, one a channel, counted with these."""
        maps = FeatureMaps(module_of(self.network), layer, response)
        with self.beside(replace(self.classifier, function=maps, labels=None, head="softmax")) as other:
            yield other

    @contextmanager
    def in_float32(self) -> Iterator[Passes]:
        """These passes; with `precision=fast` others in float32: for ways that part from one another at the first
        rounding."""
        with nullcontext(self) if self.precision == "float32" else self.beside(self.classifier, "float32") as exact:
            yield exact

    @contextmanager
    def beside(self, classifier: Classifier, precision: Precision | None = None) -> Iterator[Passes]:
        """Passes of another classifier, such as a copy with other weights, by the same settings, counted with these."""
        run = self._runner
        other = Passes(
            classifier,
            precision=precision or run.precision,
            device=run.device,
            memory=run.memory,
            progress=run.progress,
            runtime=run.questions.runtime,
        )
        try:
            with self, other:
                yield other
        finally:
            run.count = run.count + other.count
            run.numbers.note(*other._runner.numbers.taken())

    def linear_head(self, pixels: Pixels) -> LinearHead | None:
        """The last linear layer of the network, one row of weights a class, if there is one."""
        with self._runner.working():
            head = linear_head(module_of(self.network), survey(self._runner, self._runner.given(pixels)))
        return None if head is None else head.two_sided(self.head)
