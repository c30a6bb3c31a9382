"""Attention rollout: where the tokens that the score is read from took their contents, attention upon attention.

    Â_l = rows of (fused A_l + I) scaled to sum 1,   fused = mean over heads              section 3, eq. 1
    map = row( Â_L ⋯ Â_2 Â_1 ), the rows of the tokens that the score is read from

Abnar, Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020. I stands for the residual connection. The rows
are that of the class token, the mean of both of a distilled network, or the mean of all that are averaged: what the
last attention gives to any other token reaches no score. `fuse=max` and `min`, and `discard`, the share of each layer's
smallest entries that is set to 0 before I is added, are those of Gildenblat's vit-explain (0.9 there; the entry of the
first token for itself stays), with rows that do sum to 1. Guarantees: rows sum to 1. Which class is asked about makes
no difference: the map tells where the network looks, not what speaks for the class. Defined where attention is of all
tokens to all tokens; networks with windows (Swin) or without attention are refused. Costs 2 forward passes and 1
backward pass to the last attention.

    sightline.explain(model, "dog.jpg", "attention-rollout")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.attention import Attended
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, kw_only=True)
class AttentionRollout(Method):
    """Where attention comes from when it is followed through all layers."""

    fuse: Annotated[Literal["mean", "max", "min"], Doc("how heads are joined; the paper takes the mean")] = "mean"
    discard: Annotated[float, Range(0, 0.999), Doc("share of each layer's smallest entries that is left out")] = 0.0

    aliases = ("rollout",)
    traits = Traits(
        family="attention",
        needs=Needs.ATTENTION,
        cost="2 F + 1 B to the last attention",
        paper="Abnar, Zuidema, Quantifying Attention Flow in Transformers, ACL 2020",
        signed=False,
        class_sensitive=False,
        finds=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=1, short=1, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return Maps(values=torch.cat(passes.attention(pixels, target, "last", self._rolled)))

    def _rolled(self, found: Attended) -> torch.Tensor:
        rows = found.read()[:, None]
        for weights in reversed(found.weights):  # from the last layer on, so that rows suffice in place of matrices
            mixed = self._kept(_FUSED[self.fuse](weights))
            mixed = mixed + torch.eye(mixed.shape[-1], device=mixed.device)
            rows = rows @ (mixed / mixed.sum(-1, keepdim=True))
        return found.cells(rows[:, 0])

    def _kept(self, fused: torch.Tensor) -> torch.Tensor:
        """The layer without its smallest entries, `b n n`."""
        flat = fused.flatten(1)
        smallest = flat.topk(int(flat.shape[1] * self.discard), dim=1, largest=False).indices
        left = flat.scatter(1, smallest, 0.0)
        left[:, 0] = flat[:, 0]
        return left.view_as(fused)


_FUSED = {
    "mean": lambda weights: weights.mean(1),
    "max": lambda weights: weights.amax(1),
    "min": lambda weights: weights.amin(1),
}
