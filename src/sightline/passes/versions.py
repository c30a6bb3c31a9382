"""Changed activations as descriptions: what is taken from a layer, or left in it, made only when a batch is run.

A method states how the activations change; `Passes.after` asks what the rest of the network makes of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch


class Versions(ABC):
    """n changed versions of a layer's activations."""

    @abstractmethod
    def __len__(self) -> int:
        """How many versions there are."""

    @abstractmethod
    def make(self, activations: torch.Tensor, rows: slice) -> torch.Tensor:
        """Some versions of one picture's activations: `K h w` → `m K h w`, without writing into what is given."""
