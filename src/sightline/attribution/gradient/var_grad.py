"""VarGrad: the variance of the map over noisy copies of the picture.

    map = 1/n Σ_j ( map(x + ε_j) − mean )²,   value by value, before channels are summed

Adebayo, Gilmer, Goodfellow, Kim, "Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter
Values", ICLR workshop 2018, eq. 4, with the noise of SmoothGrad (Smilkov et al., 2017). `divisor=n-1` is the unbiased
variance, as Xplique has it. A wrapper of any method. It tells where a map is unsure, not what speaks for the class.
Guarantees: zero for a linear network, whose map never changes. Costs n times the passes of the wrapped method.

    sightline.explain(model, "dog.jpg", "var-grad(of=gradient, samples=25)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch

from sightline.attribution.gradient.noisy import Moments, Noisy
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class VarGrad(Noisy):
    """The variance of a method's map over noisy copies of the picture."""

    samples: Annotated[int, Range(2, 10_000), Doc("noisy copies")] = 50
    divisor: Annotated[Literal["n", "n-1"], Doc("variance of the copies, or unbiased estimate of all noise")] = "n"

    own: ClassVar[dict[str, Any]] = {
        "paper": "Adebayo et al., Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter "
        "Values, ICLR workshop 2018",
        "signed": False,
        "linear": False,
        "finds": False,
    }

    def combine(self, found: Moments) -> torch.Tensor:
        return torch.as_tensor(found.deviations / (found.count - (self.divisor == "n-1")))
