"""Deep feature factorisation: the few things that a layer tells apart in a picture, each as a map with its classes.

    V ≈ W H,   W ≥ 0, H ≥ 0      V cells × channels of the layer; column r of W is a map, row r of H its direction

Collins, Achanta, Süsstrunk, "Deep Feature Factorization For Concept Discovery", ECCV 2018, section 3. The paper says
where a concept is; what it means to the network is asked here. Its classes are those of the network's answer when the
concept alone, as strong as at its strongest cell, stands in every cell (pytorch-grad-cam applies the last layer to the
direction, which is the same for average and linear, up to the direction's length). Its effect is the score without it:
e_r = score(A) − score(A − W_r H_r), and the map of this result, ours, lays it on its cells: Σ_r e_r W_r / Σ_cells W_r.
Where average and linear follow the layer, that is CAM of W H. Negative activations: each channel's minimum is taken
off first (`shift=always`: also positive ones, as pytorch-grad-cam does). Several pictures together, where concepts are
found in all of them: `sightline.concepts`. Guarantees: concepts ≥ 0; no step of the factorisation makes its error
larger. A factorisation has many local ends: another `seed` may cut the picture in another way. Costs 1 forward pass, 1
backward pass to the layer, and 2 r + 1 forward passes of what follows it.

    sightline.explain(model, "dog.jpg", "deep-feature-factorisation(concepts=4)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from sightline.attribution.base import Needs, Traits
from sightline.attribution.concepts.bank import Bank, Without, cells_of, effects_of, floor_of, grid_of
from sightline.attribution.concepts.factors import factorise
from sightline.attribution.concepts.learning import Learning
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class DeepFeatureFactorisation(Learning):
    """The parts that a layer tells apart in a picture, each with its map, its classes and its effect on the score."""

    shift: Annotated[
        Literal["negative", "always"], Doc("channels whose minimum is taken off: those with negative values, or all")
    ] = "negative"

    aliases = ("deep-feature-factorization", "dff")
    traits = Traits(
        family="concepts",
        needs=Needs.LAYER,
        cost="(2 r + 2) F + 1 B",
        paper="Collins, Achanta, Süsstrunk, Deep Feature Factorization For Concept Discovery, ECCV 2018",
        deterministic=False,
    )
    measure = "what each adds to the score"

    def asks(self, pixels: Pixels) -> int:
        return 1 + self.concepts

    def learn(self, passes: Passes, pixels: Pixels, view: LayerView) -> Bank:
        cells = cells_of(view.activations)
        floor = cells.amin(0) if self.shift == "always" else floor_of(view.activations).double()
        factors = factorise(cells - floor, self.concepts, self.seed)
        return Bank(
            directions=factors.directions.float(),
            floor=floor.float(),
            strengths=grid_of(factors.strengths, view.activations),
        )

    def weigh(
        self, passes: Passes, pixels: Pixels, view: LayerView, target: Target, known: tuple[Bank, torch.Tensor]
    ) -> torch.Tensor:
        return effects_of(passes, pixels, view, target, Without(*known))
