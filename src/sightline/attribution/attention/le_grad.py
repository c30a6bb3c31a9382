"""LeGrad: where each block would have to look more for its tokens to speak more for the class.

    s_l = what the end of the network makes of the mean of block l's tokens
    E_l = mean over heads and queries of ( ∂s_l/∂A_l )⁺
    map = mean over the blocks of E_l, without prefix tokens

Bousselham, Boggust, Chaybouti, Strobelt, Kuehne, "LeGrad: An Explainability Method for Vision Transformers via Feature
Formation Sensitivity", ICCV 2025. Attention itself is not multiplied in: the gradient is the signal. As in the authors'
code a block's tokens are averaged, prefix tokens too, whatever the network reads; with `pool=own` the end of the
network reads them as it always does. All blocks count; the authors' code takes the last two (`blocks=2`), and scales
the map to 0…1.
Guarantees: not negative; E_l depends on block l alone, not on what later blocks make of it. Defined for blocks with one
attention of all tokens to all tokens each; networks with windows (Swin) or without attention are refused. Costs 2
forward passes and 1 backward pass; the end of the network runs, and is counted, once for each block.

    sightline.explain(model, "dog.jpg", "legrad")
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
from sightline.types import Doc, Pixels, Range


@dataclass(frozen=True, kw_only=True)
class LeGrad(Method):
    """Gradients of every block's own score at its attention."""

    blocks: Annotated[int | None, Range(1), Doc("how many of the last blocks count; all when left out")] = None
    pool: Annotated[Literal["mean", "own"], Doc("the mean of all tokens, or the network's own read-out")] = "mean"

    name = "legrad"
    traits = Traits(
        family="attention",
        needs=Needs.ATTENTION,
        cost="2 F + 1 B, and the network's end once for each block",
        paper="Bousselham et al., LeGrad, ICCV 2025",
        signed=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=passes.blocks(pixels), short=1, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        look: Look = "blocks" if self.pool == "own" else "blocks-mean"
        return Maps(values=torch.cat(passes.attention(pixels, target, look, self._felt)))

    def _felt(self, found: Attended) -> torch.Tensor:
        counted = found.gradients[-self.blocks :] if self.blocks else found.gradients
        each = [gradients.relu().mean((1, 2)) for gradients in counted]
        return found.cells(torch.stack(each).mean(0))
