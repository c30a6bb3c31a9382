"""Attention relevance, by its author's name Chefer: attention that the score gains by, followed through all layers.

    Ā_l = mean over heads of ( ∂s/∂A_l ⊙ A_l )⁺                                               eq. 5
    R ← R + Ā_l R,  from R = I, first layer to last                                            eq. 6
    map = the rows of R − I of the tokens that the score is read from

Chefer, Gur, Wolf, "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers",
ICCV 2021, for one stream of self-attention. The rows are that of the class token, the mean of both of a distilled
network, or the mean of all that are averaged; what a token keeps for itself (I) is left out, as the authors' read-out
of the class token's row does. Nothing is scaled. `form=lrp` is their earlier method, "Transformer Interpretability
Beyond Attention Visualization", CVPR 2021, eq. 13 and 14: the relevance that the class hands down to A_l takes the
place of A_l (rules: `sightline.models.relevance.attention_shares`). Guarantees: not negative; zero where the score does
not depend on attention. Defined where attention is of all tokens to all tokens; networks with windows (Swin) or without
attention are refused. Costs 2 forward passes and 1 backward pass, one more of each with `form=lrp`. Memory holds two
matrices of tokens × tokens a head and layer, or three.

    sightline.explain(model, "dog.jpg", "attention-relevance")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.attention import Attended, Look
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class AttentionRelevance(Method):
    """Attention that the class gains by, followed through all layers (Chefer)."""

    form: Annotated[
        Literal["generic", "lrp"], Doc("what gradients are multiplied with: attention, or its relevance (CVPR 2021)")
    ] = "generic"

    aliases = ("chefer", "generic-attention", "transformer-relevance")
    traits = Traits(
        family="attention",
        needs=Needs.ATTENTION,
        cost="2 F + 1 B, with form=lrp 3 F + 2 B",
        paper="Chefer, Gur, Wolf, Generic Attention-model Explainability, ICCV 2021",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        passes_each = 2 if self.form == "lrp" else 1
        return Foreseen(forward=passes_each, backward=passes_each, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        look: Look = "relevance" if self.form == "lrp" else "all"
        return Maps(values=torch.cat(passes.attention(pixels, target, look, _relevance)))


def _relevance(found: Attended) -> torch.Tensor:
    read = found.read()[:, None]
    gained = torch.zeros_like(read)
    # R = (I + Ā_L) ⋯ (I + Ā_1): from the last layer on, rows suffice in place of matrices. I is kept apart, since small
    # gradients would be lost beside it.
    for weights, gradients in zip(reversed(found.relevance or found.weights), reversed(found.gradients), strict=True):
        gained = gained + (read + gained) @ (gradients * weights).relu().mean(1)
    return found.cells(gained[:, 0])
