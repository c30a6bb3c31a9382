"""Shapley-CAM: channels weighted by their Shapley values, with the score taken as a parabola of the activations.

    w_k = mean_ij ( g − ½ H A )_k,   g = ∂s/∂A,   H = ∂²s/∂A²,   map = ReLU( Σ_k w_k A_k )
    s = z_c + log softmax(z)_c   (`score=rest`: residual softmax target),   or z_c

Cai, "CAMs as Shapley Value-based Explainers", The Visual Computer 2025. The logit behind the last ReLU is linear in the
layer, so that H = 0; the logarithm bends it. With independent classes log sigmoid(z)_c takes the place of log softmax;
a contrast A against B has s = d + log sigmoid(d) with d = z_A − z_B. A network that ends in probabilities is refused
unless `score=logit`. Guarantees: where the score is linear in the layer, as for `score=logit` directly before global
average pooling and a linear layer, it equals Grad-CAM. Costs 2 forward and 3 backward passes to the layer.

    sightline.explain(model, "dog.jpg", "shapley-cam")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch.nn import functional

from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.errors import NotSupportedError
from sightline.models.heads import Head, gives_probabilities
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Scores


@dataclass(frozen=True, kw_only=True)
class ShapleyCam(Weighting):
    """Activations weighted by gradient and curvature."""

    score: Annotated[Literal["rest", "logit"], Doc("what is explained: logit plus log-probability, or the logit")] = (
        "rest"
    )

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="2 F + 3 B to the layer",
        paper="Cai, CAMs as Shapley Value-based Explainers, The Visual Computer 2025",
        signed=False,
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return super().foresee(passes, pixels, target).and_(forward=1, short=2)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        if self.score == "rest" and gives_probabilities(passes.head):
            raise NotSupportedError(
                f"{self.name} adds a log-probability to a logit, but {passes.classifier.name!r} gives probabilities: "
                "use score=logit"
            )
        asked = _Residual(target.index, target.against, head=passes.head) if self.score == "rest" else target
        gradients, products = passes.curvature(pixels, view.layer, asked)
        weights = (gradients - products / 2).mean((2, 3), keepdim=True)
        return (weights * view.activations).sum(1).relu()


@dataclass(frozen=True, eq=False, kw_only=True)
class _Residual(Target):
    """The logit plus the logarithm of its probability."""

    head: Head

    def score(self, scores: Scores) -> torch.Tensor:
        own = super().score(scores)
        if self.head == "softmax" and self.against is None:
            return own + super().score(scores.log_softmax(1))
        return own + functional.logsigmoid(own)

    def rows(self, rows: slice | torch.Tensor) -> Target:
        plain = super().rows(rows)
        return _Residual(plain.index, plain.against, head=self.head)
