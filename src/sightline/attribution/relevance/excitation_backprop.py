"""Excitation backprop: how likely each unit is to win, if every winner picks who excited it.

    P(i | j) = x_i w_ij⁺ / Σ_i x_i w_ij⁺      the chance that j, having won, hands on to i        eq. 5
    P(i) = Σ_j P(i | j) P(j)                  marginal winning probability; P(class) = 1          eq. 3
    map = Σ_k P_k                             at a layer, over its channels

Zhang, Lin, Brandt, Shen, Sclaroff, "Top-down Neural Attention by Excitation Backprop", ECCV 2016, IJCV 2018. It is
relevance propagation with z-plus everywhere, without biases, that begins with 1 in place of the score. The rest is as
in the authors' code and TorchRay: a maximum hands on to the largest, a skip connection in proportion to what each
branch adds. A batch normalisation becomes part of the convolution before it, as the authors ask for negative scales;
TorchRay passes it over, which differs where a scale is negative. A look at a middle layer is theirs, too: without
`layer` it is the last one on the grid twice as fine as the last (ResNet's `layer3`). For A-vs-B it is the difference of
both maps. Guarantees: on a chain of ReLUs no value is negative, and they sum to 1 (`conservation_error`: by how much
they miss it). Costs one forward and one backward pass to the layer, and as much for one picture to find it.

    sightline.explain(model, "dog.jpg", "excitation-backprop")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.attribution.base import Maps, Method, Needs, Traits, Wants
from sightline.attribution.foreseen import Foreseen
from sightline.models.relevance.composites import Composite, Table
from sightline.models.relevance.layer_rules import ZPlus
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.relevance import Relevance, one_hot
from sightline.types import Doc, Pixels

_WINS = ZPlus(epsilon=1e-12)  # probabilities: what is added to their sum is lost, and there is nothing that cancels
EXCITATION = Table(convolution=_WINS, dense=_WINS, bias="ignored", normalisation="handed-on")
"""Only what excites counts, in every layer."""


@dataclass(frozen=True, kw_only=True)
class ExcitationBackprop(Method):
    """The probability of winning, handed down from the class to a layer."""

    layer: Annotated[str | None, Doc("name of the layer; one of medium size is chosen when left out")] = None

    traits = Traits(
        family="relevance",
        needs=Needs.LAYER,
        cost="3 F + 2 B to the layer, of 2 passes a layer",
        paper="Zhang et al., Top-down Neural Attention by Excitation Backprop, ECCV 2016",
        signed=False,
        linear=False,
    )

    def wants(self) -> Wants:
        return Wants(layers=(self.layer,))

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=2, short=2, clean=0 if self.layer else 1, untold=int(self.layer is None))

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        found = won(passes, pixels, medium(passes, pixels, self.layer), target)
        error = found.values.double().sum((1, 2, 3)) - found.begun.double()
        assert found.layer is not None
        return Maps(
            values=found.values.sum(1, keepdim=True),
            layer=found.layer.name,
            numbers={"conservation_error": error.float()},
        )


def won(passes: Passes, pixels: Pixels, layer: str, target: Target, rules: Composite = EXCITATION) -> Relevance:
    """The marginal winning probabilities at a layer, `b K h w`."""
    return passes.relevance_at(pixels, layer, target, rules, one_hot)


def medium(passes: Passes, pixels: Pixels, layer: str | None) -> str:
    """The layer that is named, the network's own, or the last one on the next finer grid than the last layer's."""
    if layer is not None:
        return layer
    last = passes.layer(pixels, passes.classifier.layer, None).layer.name
    if passes.classifier.layer is not None:
        return last
    return next(iter(passes.finer_layers(pixels, last)), last)
