"""How far a map moves when the picture moves a little: what max- and average-sensitivity share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, final

import torch

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.robustness.nearby import Noise, Samples, moves
from sightline.passes.passes import Passes
from sightline.types import Doc, Range, Seed


@dataclass(frozen=True, kw_only=True)
class Sensitivity(Metric):
    """‖map(x + δ) − map(x)‖ / ‖map(x)‖ for several δ; a subclass says what is made of them."""

    radius: Annotated[float, Range(0, 1), Doc("how far every value moves, as a part of the range")] = 0.02
    samples: Samples = 10
    noise: Noise = "uniform"
    seed: Seed = 0

    traits = MetricTraits(
        family="robustness",
        better="lower",
        range="0 and above",
        cost="the method's, a sample and once more",
        paper="Yeh, Hsieh, Suggala, Inouye, Ravikumar, On the (In)fidelity and Sensitivity of Explanations, "
        "NeurIPS 2019",
        needs_method=True,
    )

    @abstractmethod
    def of_all(self, moved: torch.Tensor) -> float:
        """One number of the relative moves, `n` float64."""

    @final
    def measure(self, passes: Passes, question: Question) -> Value:
        found = moves(passes, question, radius=self.radius, noise=self.noise, seed=self.seed, samples=self.samples)
        moved = found.maps / found.norm
        details = {"mean": float(moved.mean()), "max": float(moved.max()), "norm of the map": found.norm}
        return Value(value=self.of_all(moved), details=details, warnings=found.warnings)
