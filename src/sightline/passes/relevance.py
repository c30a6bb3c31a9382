"""Relevance of the pixels, or of a layer's activations: what layer-wise relevance propagation hands back to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeAlias

import torch

from sightline.errors import LayerError, NonFiniteError, NotSupportedError
from sightline.models.layers import Layer
from sightline.models.relevance.composites import Composite
from sightline.models.relevance.layer_rules import Box
from sightline.models.relevance.propagation import propagating
from sightline.models.taps import capture
from sightline.models.targets import Target
from sightline.passes.looking import look, module_of, view
from sightline.passes.runner import Runner
from sightline.passes.session import Session
from sightline.types import ChannelMap, Pixels, Scores

Start: TypeAlias = Callable[[Scores, Target], Scores]
"""From the scores `b k` to the relevance that each begins with, `b k`."""


@dataclass(frozen=True, eq=False)
class Relevance:
    """What reached some pictures' pixels, or a layer.

    Attributes:
        values: `b c h w` float32, signed: at the pixels, or at a layer's activations.
        begun: `b`, the sum that the scores began with.
        activations: `b K h w` float32, the layer's, where it is one.
        layer: which layer.
    """

    values: ChannelMap
    begun: torch.Tensor
    activations: torch.Tensor | None = None
    layer: Layer | None = None

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """That of all pictures from that of some."""
        activations = [part.activations for part in parts if part.activations is not None]
        return cls(
            torch.cat([part.values for part in parts]),
            torch.cat([part.begun for part in parts]),
            torch.cat(activations) if activations else None,
            parts[0].layer,
        )


def explained(scores: Scores, target: Target) -> Scores:
    """Relevance begins as the explained score itself: each class as much as it adds to it."""
    return scores * one_hot(scores, target)


def one_hot(scores: Scores, target: Target) -> Scores:
    """Relevance begins as 1 at the class, and −1 at the class that it is compared with."""
    with torch.enable_grad():
        leaf = scores.detach().requires_grad_()
        (slope,) = torch.autograd.grad(target.score(leaf).sum(), leaf)
    return slope


class RelevanceSession(Session):
    """A session that answers how relevance is handed back through the network."""

    def relevance(self, pixels: Pixels, target: Target, composite: Composite, start: Start = explained) -> Relevance:
        """The relevance of the pixels: `b c h w`. Costs b forward and backward passes.

        Args:
            pixels: `b c h w`.
            target: the score to explain, one a picture.
            composite: which rule each layer goes by.
            start: what the scores begin with.

        Raises:
            NotSupportedError: something between the pixels and the scores has no rule.
        """

        def ask(rows: slice) -> Relevance:
            return at_pixels(self._runner, pixels[rows], target.rows(rows), composite, start)

        return Relevance.join(self._runner.batched(len(pixels), pixels, ask, gradients=True))

    def relevance_at(
        self, pixels: Pixels, name: str | None, target: Target, composite: Composite, start: Start = explained
    ) -> Relevance:
        """The relevance of a layer's activations, and the activations: `b K h w` each, on the layer's grid.

        Costs b forward and backward passes, the backward ones from the scores to the layer only, and one forward pass
        that tells where the layer lies.

        Args:
            pixels: `b c h w`.
            name: the layer, or None for the one that suits best.
            target: the score to explain, one a picture.
            composite: which rule each layer goes by.
            start: what the scores begin with.

        Raises:
            LayerError: no such layer, or none that can be explained at.
            NotSupportedError: something between the layer and the scores has no rule.
        """
        run = self._runner
        with run.working():
            clean = look(run, pixels[:1], gradients=False, layers=[name])
            layer = view(run, clean, name, target.rows(slice(0, 1))).layer

        def ask(rows: slice) -> Relevance:
            return at_layer(run, pixels[rows], layer, target.rows(rows), composite, start)

        return Relevance.join(run.batched(len(pixels), pixels, ask, gradients=True))


def at_pixels(runner: Runner, batch: Pixels, target: Target, composite: Composite, start: Start) -> Relevance:
    """One pass, and relevance from the scores to the pixels.

    Raises:
        NotSupportedError: something between them has no rule.
        NonFiniteError: relevance grew without bound.
    """
    with runner.working(), torch.enable_grad():
        refuse_foreign(runner, "relevance propagation")
        leaf = runner.given(batch).detach().requires_grad_()
        with propagating(composite, _box(runner, leaf)) as check:
            scores = runner.run(leaf, exact=composite.exact)
        begun = start(scores.detach(), target)
        values = None
        if scores.requires_grad:
            check(scores, leaf, runner.classifier.name)
            (values,) = torch.autograd.grad(scores, leaf, begun, allow_unused=True)
        runner.counted(backward=len(batch))
    return Relevance(_arrived(runner, values).float(), begun.sum(1))


def at_layer(
    runner: Runner, batch: Pixels, layer: Layer, target: Target, composite: Composite, start: Start
) -> Relevance:
    """One pass, and relevance from the scores to a layer's activations and no further.

    Raises:
        LayerError: the layer is not on the way from the picture to the scores.
        NotSupportedError: something between layer and scores has no rule.
    """
    with runner.working(), torch.enable_grad():
        refuse_foreign(runner, "relevance propagation")
        # The graph begins at the pixels, though nothing is taken back to them: so each layer knows what stands before.
        leaf = runner.given(batch).detach().requires_grad_()
        with (
            propagating(composite, _box(runner, leaf)) as check,
            capture(module_of(runner.network), [layer.name]) as got,
        ):
            scores = runner.run(leaf, exact=composite.exact)
        (at,) = got[layer.name]
        begun = start(scores.detach(), target)
        values = None
        if scores.requires_grad and at.requires_grad:
            check(scores, at, runner.classifier.name)
            (values,) = torch.autograd.grad(scores, at, begun, allow_unused=True)
        if values is None:
            raise LayerError(f"layer {layer.name!r} is not on the way from the picture to the score")
        runner.counted(backward=len(batch))
    return Relevance(layer.grid(_arrived(runner, values)), begun.sum(1), layer.grid(at.detach()), layer)


def _arrived(runner: Runner, values: torch.Tensor | None) -> torch.Tensor:
    if values is not None and not torch.isfinite(values).all():
        raise NonFiniteError(
            f"relevance grew without bound in {runner.classifier.name!r}, where contributions cancel almost wholly: "
            "use rules that count positive ones only, such as epsilon-plus, or a larger epsilon"
        )
    return runner.reached(values)


def refuse_foreign(runner: Runner, what: str) -> None:
    """Refuse a network with weights in layers that another library runs: what they do can then not be seen.

    Raises:
        NotSupportedError: there are such layers.
    """
    foreign = getattr(runner.network, "foreign", None) or ()
    if foreign:
        raise NotSupportedError(
            f"{what} does not know layer {', '.join(map(repr, foreign[:3]))} of {runner.classifier.name!r}, which "
            "Keras itself runs: use a gradient method or a class activation map"
        )


def _box(runner: Runner, pixels: Pixels) -> Box:
    low, high, _ = runner.classifier.values.like(pixels)
    return low.expand_as(pixels[:1])[0], high.expand_as(pixels[:1])[0]
