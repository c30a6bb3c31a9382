"""shap (the authors of SHAP): a picture as an array, halved again and again by its own masker."""

from __future__ import annotations

from typing import Any

import numpy as np
import shap
import torch
from numpy.typing import NDArray

from parity.rows import LARGE, Case, rows_of

row = rows_of("shap")
HALVINGS = 16
ORDER = (
    "in float64, the mean colour where nothing is shown; shap counts two passes at the ends more than ours, and is "
    "given one for each"
)


def partition(case: Case) -> torch.Tensor:
    """PartitionExplainer: eight boxes at a time, as ours; a pixel's value is that of its channels, added up."""
    picture = case.pixels.permute(0, 2, 3, 1).numpy()

    @torch.no_grad()
    def logits(pictures: NDArray[Any]) -> NDArray[Any]:
        prepared = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
        answered: NDArray[Any] = case.network(prepared)[:, case.target].numpy()
        return answered

    explainer = shap.PartitionExplainer(logits, shap.maskers.Image(np.zeros(picture.shape[1:])))
    found = explainer(picture, max_evals=2 * HALVINGS + 2, batch_size=16, silent=True)
    return torch.from_numpy(found.values[0]).sum(-1).float()


ROWS = [
    row(
        f"partition-shap(evaluations={2 * HALVINGS + 1}, fill=mean)",
        f"PartitionExplainer(max_evals={2 * HALVINGS + 2})",
        partition,
        ORDER,
        double=True,
        dear=LARGE,
    )
]
