"""iGOS+: one mask that takes the class away where it hides, and brings it where it alone is shown.

    M = argmin p(Φ(M)) − p(Φ(1 − M)) + λ₁ mean|1 − M| + λ₂ BTV(M),   Φ(M) = x·U(M) + x̃·(1 − U(M))     map = 1 − U(M)

Khorram, Lawson, Li, "iGOS++: Integrated Gradient Optimized Saliency by Bilateral Perturbations", ACM CHIL 2021: the
step between I-GOS and iGOS++ in their comparison. Both terms are integrated along (s/S)·M, as in I-GOS; BTV forgives
edges of the mask along edges of the picture. Defaults are the authors', the steps by momentum as in I-GOS. Guarantees
as I-GOS. Costs twice I-GOS.

    sightline.explain(model, "dog.jpg", "igos-plus")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from sightline.attribution.base import Needs, Traits
from sightline.attribution.mask.operators import bilateral_variation
from sightline.attribution.mask.path_descent import PathDescent
from sightline.passes.blends import Term
from sightline.types import Pixels


@dataclass(frozen=True, kw_only=True)
class IGosPlus(PathDescent):
    """What takes the class away where it is blurred, and brings it where it alone is shown: one mask for both."""

    terms: ClassVar = ((Term(keeps=True), 1.0), (Term(keeps=False), -1.0))
    traits = Traits(
        family="mask",
        needs=Needs.GRADIENTS,
        cost="2n·S (F + B)",
        paper="Khorram et al., iGOS++: Integrated Gradient Optimized Saliency by Bilateral Perturbations, CHIL 2021",
        signed=False,
        linear=False,
        deterministic=False,
    )

    def roughness(self, mask: torch.Tensor, pixels: Pixels) -> torch.Tensor:
        return bilateral_variation(mask, pixels)
