"""What methods that integrate on the way from a baseline share: draws of the baseline, and how far a sum is off."""

from __future__ import annotations

from typing import Any, cast

import torch

from sightline.attribution.base import Maps
from sightline.images.fills import Fill
from sightline.spec import has_field, with_fields


def drawn(baseline: Fill, draw: int) -> Fill:
    """The baseline of one draw: a random one has the seed that many further on, any other is itself."""
    if not has_field(baseline, "seed"):
        return baseline
    return with_fields(baseline, seed=(cast(Any, baseline).seed + draw) % 2**63)


def complete(values: torch.Tensor, difference: torch.Tensor) -> Maps:
    """The maps `b c h w`, with what their sums miss of the difference of scores, `b`."""
    error = values.double().sum((1, 2, 3)) - difference.double()
    return Maps(values=values, numbers={"completeness_error": error.float(), "score_difference": difference})
