"""A network read at the feature maps of a layer instead of at its classes: what is explained is then a feature map."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import nn

from sightline.models.layers import Layer
from sightline.models.outputs import scores_of
from sightline.models.taps import capture
from sightline.types import Pixels, Scores

Response: TypeAlias = Literal["total", "peak", "total-and-scores"]
"""Of a feature map: the sum of its positive activations, or its largest activation; or the sums, and then the scores
of the classes as the network gives them."""


class FeatureMaps(nn.Module):
    """One score for each feature map of a layer, and where asked for, one for each class after them."""

    def __init__(self, network: nn.Module, layer: Layer, response: Response) -> None:
        super().__init__()
        self.network, self.layer, self.response = network, layer, response

    def forward(self, pixels: Pixels) -> Scores:
        """`b c h w` → `b K`, or `b K+k`."""
        with capture(self.network, [self.layer.name]) as found:
            given = self.network(pixels)
        cells: torch.Tensor = self.layer.grid(found[self.layer.name][0]).flatten(2)
        if self.response == "peak":
            return cells.max(2).values
        totals = cells.clamp(min=0).sum(2)
        return totals if self.response == "total" else torch.cat([totals.float(), scores_of(given, len(pixels))], 1)
