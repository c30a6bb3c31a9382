"""Average sensitivity: how far does the map move on average when the picture hardly does?

    value = mean over δ of ‖map(x + δ) − map(x)‖₂ / ‖map(x)‖₂,   every value of δ even on −r … r

The mean in place of the largest of the moves that `max-sensitivity` measures (C.-K. Yeh et al., "On the (In)fidelity
and Sensitivity of Explanations", NeurIPS 2019), and of the same samples; also U. Bhatt, A. Weller and J. M. F. Moura,
"Evaluating and Aggregating Feature-based Model Explanations", IJCAI 2020. Quantus' `AvgSensitivity` takes 200 samples
and r = 0.2. Xplique's `AverageStability` is another number: its noise is even on 0 … r, so that every neighbour is
brighter, and the distance is not told in parts of the map's norm. The mean of few samples has no bias, as the largest
has, and is the steadier number to compare methods by.
Guarantees: 0 if and only if no sample moved the map; at most `max-sensitivity` with the same fields. Costs the method's
passes once for each sample and once more.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg", "gradient"), "average-sensitivity(radius=0.05)")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.evaluation.robustness.sensitivity import Sensitivity


@dataclass(frozen=True, kw_only=True)
class AverageSensitivity(Sensitivity):
    """How far the map moves on average when the picture is moved a little."""

    def of_all(self, moved: torch.Tensor) -> float:
        return float(moved.mean())
