"""Layer-wise relevance propagation: the score is handed back from layer to layer, and shared out in each by a rule.

    R_i = Σ_j (contribution of i to j) / (contributions of all to j) · R_j,     map = R at the pixels     eq. 2, 56

Bach, Binder, Montavon, Klauschen, Müller, Samek, "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by
Layer-Wise Relevance Propagation", PLoS ONE 10(7), 2015. What counts as a contribution is the rule of the layer
(`sightline.models.relevance.layer_rules`), and which layer goes by which rule is the `composite`, a table:
`epsilon-plus-flat`, `epsilon-gamma-box` and others as in zennit, or one's own:
`lrp(composite=table(first=z-box, convolution=gamma(gamma=0.1), dense=epsilon))`. A batch normalisation becomes part
of the convolution that it follows; where it follows none, as in DenseNet, of those that it leads to, its shift as their
bias (Guillemot et al. 2020; `sightline.models.relevance.ahead`). zennit, which knows no canoniser for these, hands on
there (`lrp(composite=epsilon-plus-flat(normalisation=handed-on))`): relevance then also reaches what a ReLU holds at
zero. Sums (skip connections) share out by proportion, a maximum hands all to the largest, activations that keep the
sign of what they are given hand on as it is, and a gate (squeeze and excitation) is a constant. Whatever else stands
between picture and score (softmax, layer normalisation, attention) is refused by name.

Guarantees: relevance is conserved, up to what biases absorb (`bias=ignored` takes them out of the count) and ε takes;
epsilon alone, as ε → 0, is input × gradient on networks of ReLUs, wherever their normalisations stand;
`conservation_error` says by how much the map's sum misses the score (one below zero begins below zero). Plain epsilon
cancels almost wholly on deep networks, and a result where it does says so. Costs one forward and one backward pass, in
which every layer is run 2 to 6 times.

    sightline.explain(model, "dog.jpg", "lrp(composite=epsilon-gamma-box)")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.relevance.composites import Composite, EpsilonPlusFlat
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels

_CANCELS = 100
"""Plain epsilon reaches hundreds on trained residual networks, the other composites stay below 1."""


@dataclass(frozen=True, kw_only=True)
class Lrp(Method):
    """The score, handed back through the network layer by layer."""

    composite: Annotated[Composite, Doc("which rule each layer goes by")] = EpsilonPlusFlat()

    aliases = ("layer-wise-relevance-propagation",)
    traits = Traits(
        family="relevance",
        needs=Needs.GRADIENTS,
        cost="1 F + 1 B of 2 to 6 passes a layer",
        paper="Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance "
        "Propagation, PLoS ONE 2015",
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=1, backward=1, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        found = passes.relevance(pixels, target, self.composite)
        error = found.values.double().sum((1, 2, 3)) - found.begun.double()
        numbers = {"conservation_error": error.float(), "score": found.begun}
        return Maps(values=found.values, numbers=numbers, cautions=tuple(map(_cautions, found.values, found.begun)))


def _cautions(values: torch.Tensor, score: torch.Tensor) -> tuple[str, ...]:
    times = float(values.abs().sum()) / max(abs(float(score)), 1e-30)
    if times <= _CANCELS:
        return ()
    return (
        f"what speaks for and against cancels almost wholly: without their signs, the map's values sum to {times:.3g} "
        "times the score, and single pixels mean little: use epsilon-plus, or a larger epsilon such as 0.1",
    )
