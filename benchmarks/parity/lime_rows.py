"""lime (the authors of LIME): a picture as an array from 0 to 1, its superpixels hidden under their own mean colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lime.lime_image import LimeImageExplainer
from numpy.typing import NDArray

from parity.rows import Case, rows_of
from sightline.images.segments import Quickshift

row = rows_of("lime")
SAMPLES, SEED = 40, 2
SAME = "the same superpixels and the same samples in both"


class _Given(np.random.RandomState):
    """A random state whose draws of 0 and 1 are ours."""

    def __init__(self, shown: torch.Tensor) -> None:
        super().__init__(0)
        self.shown = shown

    def randint(self, low: int, high: int | None = None, size: Any = None, dtype: Any = int) -> Any:  # type: ignore[override]
        """Our coalitions, or any number where one is asked for."""
        return self.shown.numpy().astype(int).ravel() if size else 0


def lime(case: Case) -> torch.Tensor:
    """explain_instance over our superpixels and samples: the weight of each at its pixels, `h w`."""
    low, high, _ = case.classifier.values.like(case.pixels)
    cut = Quickshift().make(case.pixels, case.classifier.values)[0].numpy()
    shown = torch.rand(SAMPLES, int(cut.max()) + 1, generator=torch.Generator().manual_seed(SEED)) < 0.5
    picture = ((case.pixels - low) / (high - low))[0].permute(1, 2, 0).double().numpy()

    @torch.no_grad()
    def probabilities(pictures: NDArray[np.float64]) -> NDArray[np.float32]:
        prepared = torch.from_numpy(pictures).permute(0, 3, 1, 2) * (high - low) + low
        answered: NDArray[np.float32] = case.network(prepared.float()).softmax(1).numpy()
        return answered

    found = LimeImageExplainer(random_state=_Given(shown)).explain_instance(
        picture,
        probabilities,
        labels=(case.target,),
        top_labels=None,
        num_samples=SAMPLES,
        segmentation_fn=lambda _image: cut,
    )
    weights = torch.zeros(int(cut.max()) + 1, dtype=torch.float64)
    for region, weight in found.local_exp[case.target]:
        weights[region] = weight
    return weights[torch.from_numpy(cut)]


ROWS = [row(f"lime(samples={SAMPLES}, seed={SEED})", f"LimeImageExplainer(num_samples={SAMPLES})", lime, why=SAME)]
