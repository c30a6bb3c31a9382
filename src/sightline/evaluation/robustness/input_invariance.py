"""Input invariance: does the map stay where all pictures are shifted by a constant and the network takes it away again?

    f₂(x + m) = f(x) for all x:   value = ‖map of f₂ at x + m − map of f at x‖₂ / ‖map of f at x‖₂

P.-J. Kindermans, S. Hooker, J. Adebayo, M. Alber, K. T. Schütt, S. Dähne, D. Erhan and B. Kim, "The (Un)reliability of
Saliency Methods", 2017 (Springer LNCS 11700, 2019), section 2. They put −m into the bias of the first layer, which for
a layer with zero padding gives another function at the borders; here f₂ takes m away before the first layer, which is
the same wherever theirs is exact. m is `shift` times the range of colours, in every channel. The gradient passes, the
gradient times the input does not, and methods with a reference (integrated gradients from black) fail unless the
reference moves with the pictures: then the value says that the map depends on where zero or black was put, which is
no fault where the reference was meant. (SmoothGrad's noise follows the range of all of a picture's values, which such a
shift changes where the channels were normalised by different deviations.) Guarantees: 0 for a map that is a function of
f around x alone, up to rounding; a map that never changes has 0, too. Costs the method's passes twice, and 1 F.

    sightline.evaluate(model, sightline.explain(model, "dog.jpg", "input-times-gradient"), "input-invariance")
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from torch import nn

from sightline.evaluation.again import Given, clean_map, maps_of
from sightline.evaluation.base import Metric, MetricTraits, Question, Value
from sightline.evaluation.similarity import similarity
from sightline.models.classifier import Classifier
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range


class _Shifted(nn.Module):
    """A network that is shown pictures which a constant was added to; its layers keep their names."""

    def __init__(self, network: nn.Module, shift: torch.Tensor) -> None:
        super().__init__()
        self._modules, self._parameters, self._buffers = network._modules, network._parameters, network._buffers
        self.training = network.training
        self.whole = (network,)  # no child: its layers would have two names
        self.shift = shift

    def forward(self, pixels: Pixels) -> Any:
        return self.whole[0](pixels - self.shift)


@dataclass(frozen=True, kw_only=True)
class InputInvariance(Metric):
    """How far the map moves when a constant is added to all pictures and taken away by the network."""

    shift: Annotated[float, Range(-10, 10), Doc("what is added to every value, as a part of the range")] = 1.0

    traits = MetricTraits(
        family="robustness",
        better="lower",
        range="0 and above",
        cost="the method's twice",
        paper="Kindermans et al., The (Un)reliability of Saliency Methods, 2017",
        needs_method=True,
    )

    def measure(self, passes: Passes, question: Question) -> Value:
        low, high, _ = passes.classifier.values.like(question.pixels)
        shift = self.shift * (high - low)
        own, warnings = clean_map(passes, question)
        moved = replace(question, pixels=question.pixels + shift)
        with passes.beside(_shifted(passes, shift)) as others:
            map = maps_of(others, moved, Given(moved.pixels))[0]
        norm = float(own.double().norm())
        if norm == 0:
            warnings += ("the map is zero everywhere: how far the other lies from it is not relative to anything",)
        return Value(
            value=float((map - own).double().norm()) / (norm or 1.0),
            details={"spearman": similarity(own.numpy(), map.numpy(), "spearman"), "norm of the map": norm},
            warnings=warnings,
        )


def _shifted(passes: Passes, shift: torch.Tensor) -> Classifier:
    """The classifier that takes the shift away first; its scores are known by now, and so is what they mean."""
    classifier, network = passes.classifier, passes.network
    if network is not None:
        return replace(classifier, function=_Shifted(network, shift), head=passes.head)
    function, away = classifier.function, shift.cpu().numpy() if classifier.takes == "array" else shift
    return replace(classifier, function=lambda pixels: function(pixels - away), head=passes.head)
