"""Craft (the authors of CRAFT): concepts found in crops of a picture, and how much each matters."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import NMF

from parity.injected import replaced
from parity.rows import RESNETS, Case, rows_of
from sightline.attribution.concepts.factors import factorise

row = rows_of("craft")
CONCEPTS = 6
FACTORS = "our factorisation in both: NMF has many local ends; of the same crops"


@lru_cache(maxsize=1)
def package() -> ModuleType:
    """Its module for torch, which asks for TensorFlow too, for a sequence that is not used here."""
    with patch.dict(sys.modules, {"tensorflow": ModuleType("tensorflow")}):
        return import_module("craft.craft_torch")


class Ours(NMF):
    """Factorises as ours does; how strong known concepts are is scikit-learn's, to the last digit."""

    def fit_transform(self, values: NDArray[Any], *_given: object) -> NDArray[Any]:
        """From our start, by our steps."""
        self.set_params(tol=1e-9, max_iter=3000)
        factors = factorise(torch.from_numpy(values), self.n_components, 0)
        self.components_ = factors.directions.float().numpy()
        self._n_components, self.n_features_in_ = self.components_.shape
        return factors.strengths.numpy()


def importances(case: Case) -> torch.Tensor:
    """Each concept's share in the variance of the logit."""

    def before(pictures: torch.Tensor) -> torch.Tensor:
        kept: list[torch.Tensor] = []
        handle = case.module.register_forward_hook(lambda _m, _g, answer: kept.append(answer))
        try:
            case.network(pictures)
        finally:
            handle.remove()
        return kept[0].detach()

    def after(cells: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = case.network.fc(cells.mean((2, 3)))  # type: ignore[operator]
        return found

    with replaced((package(), "NMF", Ours)):
        method = package().Craft(before, after, CONCEPTS, batch_size=16, patch_size=64, device="cpu")
        method.fit(case.pixels)
        return torch.from_numpy(np.asarray(method.estimate_importance(case.pixels, case.target, nb_design=32)))


SPEC = f"craft(layer=LAYER, concepts={CONCEPTS}, sequence=halton)"

ROWS = [
    row(
        SPEC,
        f"Craft(number_of_concepts={CONCEPTS}).estimate_importance",
        importances,
        f"{FACTORS}; the importances are compared",
        make=lambda case: case.maps(SPEC).arrays["effects"][0],
        networks=RESNETS,
    )
]
