"""Batch normalisation that stands before a layer, as in DenseNet: it becomes part of the layer that it leads to.

    y = v · 1[v > 0],   v = u + t,   u = s ⊙ x        a normalisation with scale s and shift t, and a ReLU, or none
    z = W y + b = W u′ + (b + W t′),   u′ = u · 1[v > 0],   t′ = t · 1[v > 0]

So what the layer is given counts without t′, which is part of its bias; whether s stands in the weights or in what they
are multiplied with is the same contribution. The layer's answers stay as they are, at borders as well, where a padded
layer meets less of t′. What a ReLU holds at zero gets nothing, as everywhere; so epsilon, as ε → 0, is input × gradient
here, too. Views and pooling by mean between the ReLU and the layer are looked through.

Guillemot, Heusele, Korichi, Schnebert, Chen, "Breaking Batch Normalization for Better Explainability of Deep Neural
Networks through Layer-wise Relevance Propagation", 2020; for DenseNet Motzkus, Weber, Lapuschkin, "Measurably Stronger
Explanation Reliability via Model Canonization", ICIP 2022, who give a share also to what the ReLU holds at zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from sightline.models.graph import name_of
from sightline.models.relevance.affine import Affine, Term, wide
from sightline.models.relevance.calls import SAME_ORDER, HandedOn
from sightline.models.relevance.layer_rules import Box
from sightline.models.relevance.steps import propagated


@dataclass(frozen=True, eq=False)
class Normalised(HandedOn):
    """The way back through a normalisation, which hands on what reaches u.

    Attributes:
        shift: t, of the shape of one picture's v.
    """

    shift: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Ahead:
    """What a normalisation adds to what a layer is given.

    Attributes:
        shift: t, one row, of the shape of what the layer is given.
        gated: whether a ReLU stands between.
        pooled: pooling by mean between, if any.
    """

    shift: torch.Tensor
    gated: bool = False
    pooled: Pooled | None = None

    def added(self, given: torch.Tensor) -> torch.Tensor:
        """t′, for what the layer is given, `b …`."""
        if self.pooled is not None:
            return self.pooled.added().reshape(given.shape).to(given)
        shift = self.shift.to(given).expand_as(given)
        return shift * (given != 0) if self.gated else shift

    def __call__(self, layer: Affine, given: torch.Tensor, box: Box) -> tuple[Affine, torch.Tensor, Box]:
        """The layer with the normalisation in it, what that is given, and its lowest and highest values."""
        added, run = self.added(given), layer.run

        def without(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
            answer = run(x, weight, None)
            return answer if bias is None else answer + bias

        merged = replace(layer, run=without, bias=layer.output((added, layer.weight, layer.bias)))
        return merged, given - added, None if box is None else (box[0] - added[0], box[1] - added[0])


@dataclass(eq=False)
class Pooled:
    """The way back through pooling by mean, which shares out in proportion to what each input adds.

    Attributes:
        given: what is pooled.
        pool: what makes of that.
        ahead: what a normalisation added to it, if any did.
        merged: whether the layer that follows takes that for a part of its bias.
    """

    given: torch.Tensor
    pool: Callable[[torch.Tensor], torch.Tensor]
    ahead: Ahead | None
    merged: bool = False

    def added(self) -> torch.Tensor:
        """What the normalisation added to the means."""
        assert self.ahead is not None
        with torch.no_grad():
            return self.pool(self.ahead.added(wide(self.given)))

    def __call__(self, relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        given = wide(self.given)
        if self.merged and self.ahead is not None:
            given = given - self.ahead.added(given)
        layer = Affine("dense", lambda x, _weight, _bias: self.pool(x), given.new_empty(0), None)
        terms: list[Term] = [(given, layer.weight, None)]
        return (layer.shared(wide(relevance), terms, None).to(relevance.dtype),)


def normalised(
    given: torch.Tensor, answer: Callable[[torch.Tensor], torch.Tensor], shift: torch.Tensor
) -> torch.Tensor:
    """A normalisation that no linear layer stands right before.

    Args:
        given: x, `b c …`.
        answer: what it makes of that, channel by channel.
        shift: t, `c`.
    """

    def local(own: torch.Tensor) -> tuple[torch.Tensor, Normalised]:
        one = shift.view(-1, *[1] * (own.ndim - 2)).expand(own.shape[1:])
        return answer(own), Normalised(lambda relevance: relevance, answer, shift=one)

    return propagated(local, given)


def taken_in(given: torch.Tensor) -> Ahead | None:
    """What a layer is to take in of a normalisation that stands before it; None where none does."""
    found = ahead_of(given)
    if found is not None and found.pooled is not None:
        found.pooled.merged = True
    return found


def ahead_of(given: torch.Tensor) -> Ahead | None:
    """The normalisation that what a layer is given comes from, past a ReLU, views and pooling by mean; None if none."""
    node: Any = given.grad_fn
    gated = False
    while node is not None:
        back = getattr(node, "back", None)
        if isinstance(back, Normalised) and back.shift is not None:
            fits = given.shape[1:].numel() == back.shift.numel()
            return Ahead(back.shift.reshape(1, *given.shape[1:]), gated) if fits else None
        if isinstance(back, Pooled):
            return None if back.ahead is None or gated else Ahead(back.ahead.shift, pooled=back)
        if isinstance(back, HandedOn) and back.rectifies:
            gated = True
        elif name_of(node) not in SAME_ORDER | {"CopyBackwards"}:
            return None
        # What was written in place comes from the second of what the writing was given.
        node = node.next_functions[1 if name_of(node) == "CopyBackwards" else 0][0]
    return None
