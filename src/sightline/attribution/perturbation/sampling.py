"""Drawing until sure: estimates that grow sample by sample, with their standard error.

The relative error of a map is the mean standard error of its values (regions, or pixels where there are none) over
their spread, max − min: 0.02 says that a value is known to a fiftieth of the scale it is drawn on. It is looked at
after every `STEP` samples of each picture by itself, so that neither the batch nor the memory decides where a map ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from sightline.attribution.base import Maps

STEP = 64
"""Samples between two looks at the error."""

Estimate = tuple[torch.Tensor, torch.Tensor]
"""Values and their standard errors, of one shape."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """An estimate, how sure it is, and how many samples it took."""

    values: torch.Tensor
    error: torch.Tensor
    relative: float
    samples: int

    def spread(self, place: Callable[[torch.Tensor], torch.Tensor]) -> Sampled:
        """The same at the pixels."""
        return Sampled(place(self.values), place(self.error), self.relative, self.samples)


def draw(samples: int, until: float, more: Callable[[slice], Estimate], step: int = STEP) -> Sampled:
    """Draw samples until the relative error is small enough, or all are drawn.

    Args:
        samples: the most.
        until: the relative error that is small enough; 0 draws all.
        more: draws the samples of a slice, and gives the estimate from all so far.
        step: samples between two looks.
    """
    step = min(samples, step) if until else samples
    for start in range(0, samples, step):
        stop = min(start + step, samples)
        values, error = more(slice(start, stop))
        found = Sampled(values, error, relative_error(values, error), stop)
        if found.relative <= until:
            break
    return found


def relative_error(values: torch.Tensor, error: torch.Tensor) -> float:
    """The mean standard error as a part of the values' spread; 0 of a constant that is known exactly."""
    spread, mean = float(values.max() - values.min()), float(error.mean())
    return mean / spread if spread > 0 else float(mean > 0)


def as_maps(found: Sequence[Sampled], **arrays: Sequence[torch.Tensor]) -> Maps:
    """The maps of a batch from those of its pictures, `h w` each."""
    return Maps(
        values=torch.stack([one.values for one in found]).float()[:, None],
        numbers={
            "relative_error": torch.tensor([one.relative for one in found]),
            "samples": torch.tensor([float(one.samples) for one in found]),
        },
        arrays={
            "standard_error": torch.stack([one.error for one in found]).float(),
            **{name: torch.stack(list(values)) for name, values in arrays.items()},
        },
    )
