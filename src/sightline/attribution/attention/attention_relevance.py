"""Attention relevance, by its author's name Chefer: attention that the score gains by, followed through all layers.

    Ā_l = mean over heads of ( ∂s/∂A_l ⊙ A_l )⁺                                               eq. 5
    R ← R + Ā_l R,  from R = I, first layer to last                                            eq. 6
    map = the rows of R − I of the tokens that the score is read from

Chefer, Gur, Wolf, "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers",
ICCV 2021, for one stream of self-attention. The rows are that of the class token, the mean of both of a distilled
network, or the mean of all that are averaged; what a token keeps for itself (I) is left out, as the authors' read-out
of the class token's row does. Nothing is scaled. Guarantees: not negative; zero where the score does not depend on
attention. Defined where attention is of all tokens to all tokens; networks with windows (Swin) or without attention are
refused. Costs 2 forward passes and 1 backward pass. Memory holds two matrices of tokens × tokens a head and layer.

    sightline.explain(model, "dog.jpg", "attention-relevance")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.attention import Attended
from sightline.passes.passes import Passes
from sightline.types import Pixels


@dataclass(frozen=True, kw_only=True)
class AttentionRelevance(Method):
    """Attention that the class gains by, followed through all layers (Chefer)."""

    aliases = ("chefer", "generic-attention", "transformer-relevance")
    traits = Traits(
        family="attention",
        needs=Needs.ATTENTION,
        cost="2 F + 1 B",
        paper="Chefer, Gur, Wolf, Generic Attention-model Explainability, ICCV 2021",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=1, backward=1, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return Maps(values=torch.cat(passes.attention(pixels, target, "all", _relevance)))


def _relevance(found: Attended) -> torch.Tensor:
    read = found.read()[:, None]
    gained = torch.zeros_like(read)
    # R = (I + Ā_L) ⋯ (I + Ā_1): from the last layer on, rows suffice in place of matrices. I is kept apart, since small
    # gradients would be lost beside it.
    for weights, gradients in zip(reversed(found.weights), reversed(found.gradients), strict=True):
        gained = gained + (read + gained) @ (gradients * weights).relu().mean(1)
    return found.cells(gained[:, 0])
