"""I-GOS: the smallest part of the picture whose blurring takes the class away, found along integrated gradients.

    M = argmin p(x·U(M) + x̃·(1 − U(M))) + λ₁ mean|1 − M| + λ₂ TV(M)          map = 1 − U(M)
    direction = 1/S Σ_{s=1..S} ∂p(Φ(x, (s/S) M))/∂M + ∇g

Qi, Khorram, Li, "Visualizing Deep Networks by Optimizing with Integrated Gradients", AAAI 2020, section 3. The
integral runs from the fully blurred picture x̃ to the mask, so that the direction is not that of a saturated
probability. The defaults are the authors' for a mask of 28 × 28: λ₁ = 1, λ₂ = 20 on means, 15 steps, 20 points, noise
on every point, λ₁ lowered on the way where p(Φ(M)) does not fall (`lowering`). Steps are by their later momentum (BMVC
2023): the search of the paper, `optimiser=line-search, judge=mask`, ends where p is saturated, for no step along the
integral lowers p at its end; by `judge=path`, as in the code of iGOS++, it goes on, at up to 13 · S forward passes a
step. Guarantees: values from 0 to 1; no step of a line search raises the loss that judges it. The mask is in the
result's arrays as `mask`, the loss before each step as `curve`. Costs 15 · 20 forward and backward passes, and 15
forward ones.

    sightline.explain(model, "dog.jpg", "i-gos(points=10)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch

from sightline.attribution.base import Needs, Traits
from sightline.attribution.mask.operators import total_variation
from sightline.attribution.mask.path_descent import PathDescent
from sightline.attribution.mask.steps import STEP
from sightline.passes.blends import Term
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class IGos(PathDescent):
    """What must be blurred for the class to go."""

    lowering: Annotated[bool, Doc("whether the weight of what is hidden falls where the score does not")] = True
    step: Annotated[float, STEP, Doc("longest step of the line search")] = 200.0

    name: ClassVar[str] = "i-gos"
    terms: ClassVar = ((Term(keeps=True), 1.0),)
    traits = Traits(
        family="mask",
        needs=Needs.GRADIENTS,
        cost="n·S (F + B) + n F",
        paper="Qi et al., Visualizing Deep Networks by Optimizing with Integrated Gradients, AAAI 2020",
        signed=False,
        linear=False,
        deterministic=False,
    )

    def roughness(self, mask: torch.Tensor, pixels: Pixels) -> torch.Tensor:
        return total_variation(mask)
