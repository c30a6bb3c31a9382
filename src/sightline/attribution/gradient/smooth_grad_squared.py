"""SmoothGrad-squared: the mean squared map over noisy copies of the picture.

    map = 1/n Σ_j map(x + ε_j)²,   squared value by value, before channels are summed

Hooker, Erhan, Kindermans, Kim, "A Benchmark for Interpretability Methods in Deep Neural Networks", NeurIPS 2019
(SG-SQ), with the noise of SmoothGrad (Smilkov et al., 2017). Says where a method answers strongly, not in which
direction. A wrapper of any method. Guarantees: it is VarGrad's map plus the square of SmoothGrad's, value by value.
Costs n times the passes of the wrapped method.

    sightline.explain(model, "dog.jpg", "smooth-grad-squared(of=gradient, samples=25)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from sightline.attribution.gradient.noisy import Moments, Noisy


@dataclass(frozen=True, kw_only=True)
class SmoothGradSquared(Noisy):
    """The mean square of a method's map over noisy copies of the picture."""

    aliases = ("smooth-grad-sq", "square-grad")
    own: ClassVar[dict[str, Any]] = {
        "paper": "Hooker et al., A Benchmark for Interpretability Methods in Deep Neural Networks, NeurIPS 2019",
        "signed": False,
        "linear": False,
    }

    def combine(self, found: Moments) -> torch.Tensor:
        return torch.as_tensor(found.deviations / found.count + found.mean * found.mean)
