"""AttnLRP: relevance propagation that passes through attention, so that a transformer's score reaches the pixels.

    softmax  R_i = x_i (R_i − s_i Σ R),   product of matrices  half to each factor,   layer normalisation  as if its
    standard deviation were a constant,   dense layers and convolutions  by the gamma rule,   else as `lrp`

Achtibat, Hatefi, Dreyer, Jain, Wiegand, Lapuschkin, Samek, "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation
for Transformers", ICML 2024, propositions 3.1, 3.3, 3.4. On vision transformers the paper puts the gamma rule in place
of epsilon, whose maps are noise there; the γ are those of the authors' example (0.25 in the patch embedding, 0.05 in
dense layers). `through=values` stops relevance at the softmax: CP-LRP (Ali et al., ICML 2022), which the authors' own
example for ViT uses inside attention. Position embeddings and biases take their share. Guarantees: with
`dense=epsilon, convolution=epsilon` it is input × gradient, up to ε, of the network whose activations are straight
lines through zero, standard deviations constants, and gradients halved at each factor of a product (the authors'
"efficient" form). Not conserved: the softmax, too, keeps a share; `conservation_error` tells how much. Defined for ViT,
DeiT, register networks, Swin and convolutional networks. Costs one forward and one backward pass, in which every layer
is run 4 to 6 times.

    sightline.explain(model, "dog.jpg", "attn-lrp")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.relevance.attention_rules import AttnLrpRules, Through
from sightline.models.relevance.layer_rules import Gamma, LayerRule
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels


@dataclass(frozen=True, kw_only=True)
class AttnLrp(Method):
    """The score of a transformer, handed back through attention to the pixels."""

    dense: Annotated[LayerRule, Doc("rule of dense layers")] = Gamma(gamma=0.05)
    convolution: Annotated[LayerRule, Doc("rule of convolutions, such as the patch embedding")] = Gamma(gamma=0.25)
    through: Annotated[Through, Doc("whether relevance passes an attention's softmax, or its values alone")] = "softmax"

    aliases = ("attnlrp",)
    traits = Traits(
        family="relevance",
        needs=Needs.GRADIENTS,
        cost="1 F + 1 B of 4 to 6 passes a layer",
        paper="Achtibat et al., AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers, ICML 2024",
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=1, backward=1, clean=0)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        rules = AttnLrpRules(dense=self.dense, convolution=self.convolution, through=self.through)
        found = passes.relevance(pixels, target, rules)
        error = found.values.double().sum((1, 2, 3)) - found.begun.double()
        return Maps(values=found.values, numbers={"conservation_error": error.float(), "score": found.begun})
