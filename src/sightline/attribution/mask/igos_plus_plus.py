"""iGOS++: a mask that takes the class away and one that brings it, and their product that must do both.

    M_x, M_y = argmin ½ [p(Φ(M_x)) − p(Φ(1 − M_y)) + p(Φ(M_x M_y)) − p(Φ(1 − M_x M_y))] + g(M_x M_y)
    g(M) = λ₁ mean|1 − M| + λ₂ BTV(M),   Φ(M) = x·U(M) + x̃·(1 − U(M))                        map = 1 − U(M_x M_y)

Khorram, Lawson, Li, "iGOS++: Integrated Gradient Optimized Saliency by Bilateral Perturbations", ACM CHIL 2021; the
momentum by which it steps: Jiang, Khorram, Li, "Diverse Explanations for Object Detectors with Nesterov-Accelerated
iGOS++", BMVC 2023. Every term is integrated along (s/S)·M, as in I-GOS; BTV forgives edges of the mask along edges of
the picture. Defaults are the authors' for a mask of 28 × 28; at 224 × 224 they take `size=224, sparsity=10`. The ½ is
that of the authors' gradient; their line search judges by the sum without it, which can refuse what the gradient
promises, and with other noise in every trial; this one by the loss whose gradient it follows. Guarantees as I-GOS.
Costs four times I-GOS.

    sightline.explain(model, "dog.jpg", "igos-plus-plus")
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
class IGosPlusPlus(PathDescent):
    """What takes the class away where it is blurred, and brings it where it alone is shown: a mask for each."""

    masks: ClassVar[int] = 2
    terms: ClassVar = (
        (Term(mask=0, keeps=True), 0.5),
        (Term(mask=1, keeps=False), -0.5),
        (Term(mask=2, keeps=True), 0.5),
        (Term(mask=2, keeps=False), -0.5),
    )
    traits = Traits(
        family="mask",
        needs=Needs.GRADIENTS,
        cost="4n·S (F + B)",
        paper="Khorram et al., iGOS++: Integrated Gradient Optimized Saliency by Bilateral Perturbations, CHIL 2021",
        signed=False,
        linear=False,
        deterministic=False,
    )

    def roughness(self, mask: torch.Tensor, pixels: Pixels) -> torch.Tensor:
        return bilateral_variation(mask, pixels)
