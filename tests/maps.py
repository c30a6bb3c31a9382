"""The maps that the tests ask for: one result of one method, as `sightline.explain` gives it."""

from __future__ import annotations

import torch

from sightline.attribution.base import Method
from sightline.attribution.result import Attribution
from sightline.runs.explain import explain


def result_of(network: object, pixels: torch.Tensor, method: str | Method, **options: object) -> Attribution:
    """What one method found, with all that the result carries."""
    found = explain(network, pixels, method, **options)  # type: ignore[arg-type]
    assert isinstance(found, Attribution)
    return found


def map_of(network: object, pixels: torch.Tensor, method: str | Method, **options: object) -> torch.Tensor:
    """The map alone."""
    return torch.from_numpy(result_of(network, pixels, method, **options).map)
