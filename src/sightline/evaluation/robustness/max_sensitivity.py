"""Max-sensitivity: how far can the map move when the picture hardly does?

    value = max_{‖δ‖∞ ≤ r} ‖map(x + δ) − map(x)‖₂ / ‖map(x)‖₂

C.-K. Yeh, C.-Y. Hsieh, A. Suggala, D. I. Inouye and P. K. Ravikumar, "On the (In)fidelity and Sensitivity of
Explanations", NeurIPS 2019, definition 2, estimated as in their experiments by the largest of 10 samples, every value
of the picture moved evenly by up to r = 0.02; the division by the map's norm is that of captum's `sensitivity_max`,
whose numbers these are (there r is in the network's units; here it is a part of the range of colours, so that a
normalisation does not matter). Quantus' `MaxSensitivity` takes 200 samples and r = 0.2. The method is asked again with
the same fields, seed, layer and precision, the target stays. Values x + δ may leave the range of colours by r.
Guarantees: 0 if and only if no sample moved the map; a map that never changes has 0, so read it beside a metric of
faithfulness. The largest of few samples is a lower bound. Costs the method's passes once for each sample and once more.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg", "gradient"), "max-sensitivity(samples=50)")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.evaluation.robustness.sensitivity import Sensitivity


@dataclass(frozen=True, kw_only=True)
class MaxSensitivity(Sensitivity):
    """How far the map moves at most when the picture is moved a little."""

    def of_all(self, moved: torch.Tensor) -> float:
        return float(moved.max())
