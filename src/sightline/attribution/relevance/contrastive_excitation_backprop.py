"""Contrastive excitation backprop: where a class wins more often than "not that class" would.

    map = ReLU( Σ_k P_k − P̄_k )      P̄: excitation backprop with −w for w in the layer that gives the scores

Zhang, Lin, Brandt, Shen, Sclaroff, "Top-down Neural Attention by Excitation Backprop", ECCV 2016, section 3.4, as in
the authors' code and TorchRay, which subtract at the layer before the scores and hand down the difference: the same,
since winning probabilities add up. What every class looks at (whatever is bright) cancels. Without `layer` the same
layer is chosen as for `excitation-backprop`. Guarantees: no value is negative; before the cut they sum to 0. Costs
twice excitation backprop.

    sightline.explain(model, "dog.jpg", "contrastive-excitation-backprop")
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sightline.attribution.base import Maps
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.relevance.excitation_backprop import EXCITATION, ExcitationBackprop, medium, won
from sightline.models.relevance.layer_rules import AlphaBeta
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Pixels

_DUAL = replace(EXCITATION, last=AlphaBeta(alpha=0, beta=-1))
"""At the layer that gives the scores, only what speaks against counts: x⁺w⁻ takes the place of x⁺w⁺."""


@dataclass(frozen=True, kw_only=True)
class ContrastiveExcitationBackprop(ExcitationBackprop):
    """The probability of winning for the class, less that for its opposite."""

    traits = replace(ExcitationBackprop.traits, cost="5 F + 4 B to the layer, of 2 passes a layer")

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=4, short=4, clean=0 if self.layer else 1, untold=int(self.layer is None))

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        name = medium(passes, pixels, self.layer)
        own, dual = (won(passes, pixels, name, target, rules) for rules in (EXCITATION, _DUAL))
        assert own.layer is not None
        return Maps(values=(own.values - dual.values).sum(1, keepdim=True).relu(), layer=own.layer.name)
