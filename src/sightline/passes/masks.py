"""Masks as descriptions: how much of a picture is shown where, made only when a batch is run.

A method states how its masks are made; `perturbations.Masks` shows pictures through them. Sources that a single method
knows live in that method's file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch


class MaskSource(ABC):
    """n masks for every picture of a batch."""

    @abstractmethod
    def __len__(self) -> int:
        """How many masks there are of each picture."""

    @abstractmethod
    def make(self, rows: slice) -> torch.Tensor:
        """Some masks, `m b 1 h w`, or `m 1 1 h w` where all pictures share them; 1 shows the pixel, 0 hides it.

        The same rows give the same masks, however they are asked for.
        """
