"""The linear layer that ends a network: the weights that class activation mapping reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from sightline.models.heads import Head, two_sided
from sightline.models.survey import Survey


@dataclass(frozen=True, eq=False)
class LinearHead:
    """scores = weight · features + bias.

    Attributes:
        name: of the module.
        weight: `k K` float32.
        bias: `k` float32.
    """

    name: str
    weight: torch.Tensor
    bias: torch.Tensor

    def two_sided(self, head: Head) -> LinearHead:
        """The head with one row a class, where the network has one output for two classes."""
        if head != "binary":
            return self
        return LinearHead(self.name, two_sided(self.weight.T, head).T, two_sided(self.bias[None], head)[0])

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """`b K` → `b k`."""
        return features @ self.weight.T + self.bias


def linear_head(network: nn.Module, survey: Survey) -> LinearHead | None:
    """The last linear layer or 1 × 1 convolution that ran, or none."""
    for seen in reversed(survey.seen):
        module = network.get_submodule(seen.name)
        weight = getattr(module, "weight", None)
        convolves = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
        if (isinstance(module, nn.Linear) or convolves) and isinstance(weight, torch.Tensor):
            matrix = weight.detach().float().flatten(1)
            bias = (
                module.bias.detach().float() if isinstance(module.bias, torch.Tensor) else matrix.new_zeros(len(matrix))
            )
            return LinearHead(seen.name, matrix, bias)
    return None
