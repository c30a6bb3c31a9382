"""Local Lipschitz estimate: the steepest change of the map near the picture.

    value = max_{‖δ‖∞ ≤ r} ‖map(x + δ) − map(x)‖₂ / ‖δ‖₂,   the maps over ‖map(x)‖₂

D. Alvarez-Melis and T. S. Jaakkola, "On the Robustness of Interpretability Methods", ICML Workshop on Human
Interpretability in Machine Learning 2018, equation 2, with the ball of their experiments on pictures, r = 0.1. They
search for the worst δ by Bayesian optimisation; here, as in Quantus' `LocalLipschitzEstimate`, it is the worst of drawn
ones, which is a lower bound. δ is in parts of the range of colours. The paper compares maps as they are, so a
method whose maps are larger seems less robust: `relative=false` gives its number, the default divides by the map's
norm first. Quantus draws 200 normal δ of deviation 0.1 (`noise=normal`), scales every map by its own maximum, and takes
the sum of magnitudes above the line. Guarantees: 0 if and only if no sample moved the map. Samples of many pixels all
have nearly the same ‖δ‖, so that the order of methods is mostly that of `max-sensitivity` with this radius. Costs the
method's passes once for each sample and once more.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg", "gradient"), "local-lipschitz(samples=20)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.robustness.nearby import Noise, Samples, moves
from sightline.passes.passes import Passes
from sightline.types import Doc, Range, Seed


@dataclass(frozen=True, kw_only=True)
class LocalLipschitz(Metric):
    """How steeply the map changes at most near the picture."""

    radius: Annotated[float, Range(1e-6, 1), Doc("how far every value moves, as a part of the range")] = 0.1
    samples: Samples = 50
    noise: Noise = "uniform"
    relative: Annotated[bool, Doc("whether maps are divided by the norm of the picture's own")] = True
    seed: Seed = 0

    traits = MetricTraits(
        family="robustness",
        better="lower",
        range="0 and above",
        cost="the method's, a sample and once more",
        paper="Alvarez-Melis, Jaakkola, On the Robustness of Interpretability Methods, ICML WHI 2018",
        needs_method=True,
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        found = moves(passes, question, radius=self.radius, noise=self.noise, seed=self.seed, samples=self.samples)
        steep = found.maps / found.pixels / (found.norm if self.relative else 1.0)
        details = {"mean": float(steep.mean()), "norm of the map": found.norm}
        return Value(value=float(steep.max()), details=details, warnings=found.warnings)
