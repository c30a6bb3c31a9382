"""How a linear layer shares the relevance of its outputs out among its inputs: one rule a class.

With x what the layer was given, w its weights, b its bias, z = Σ_i x_i w_ij + b_j, and + and − the parts above and
below zero:

    epsilon      R_i = Σ_j x_i w_ij / (z_j + ε sign z_j) · R_j                                  Bach 2015, eq. 58
    gamma        epsilon with w + γw⁺ for w and b + γb⁺ for b                                   Montavon 2019
    alpha-beta   R_i = Σ_j (α (x_i w_ij)⁺ / z_j⁺ − β (x_i w_ij)⁻ / z_j⁻) · R_j,  α − β = 1      Bach 2015, eq. 60
    z-plus       alpha-beta with α = 1, β = 0                                                   Montavon 2017
    z-box        R_i = Σ_j (x_i w_ij − l_i w_ij⁺ − h_i w_ij⁻) / Σ_i (…) · R_j                   Montavon 2017
    w-square     R_i = Σ_j w_ij² / Σ_i w_ij² · R_j                                              Montavon 2017
    flat         R_i = Σ_j 1 / Σ_i 1 · R_j                                                      Lapuschkin 2019

Bach et al., PLoS ONE 10(7), 2015; Montavon et al., "Explaining NonLinear Classification Decisions with Deep Taylor
Decomposition", Pattern Recognition 65, 2017; Montavon et al., "Layer-Wise Relevance Propagation: An Overview", 2019;
Lapuschkin et al., "Unmasking Clever Hans Predictors", Nature Communications 10, 2019. The papers write gamma and z-plus
for x ≥ 0; where x has both signs, contributions x_i w_ij are what is told apart by sign, as in zennit (Anders et al.,
2021). The bias takes its share of the relevance with it; the last three rules know none (zennit's w-square counts b² as
one more weight).

Each hands on all that it gets, but for what ε and biases take; alpha-beta only where a layer's output has contributions
of both signs.

ε is written as a part of the root mean square of the layer's outputs, picture by picture (zennit: norm_scale), after
Montavon 2019, who advise 0.25: so a network and the same with activations a thousand times smaller are explained alike.
The ε of 2015, and of other libraries, is a number as written: `epsilon(scale=absolute)`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

import torch

from sightline.errors import NotSupportedError, SpecError
from sightline.models.relevance.affine import Affine, Term
from sightline.spec import Catalogue, Named
from sightline.types import Doc, Range

Box: TypeAlias = "tuple[torch.Tensor, torch.Tensor] | None"
"""The lowest and the highest value that each input can take, where they are known."""

Small = Annotated[float, Range(1e-12, 1e6), Doc("added to what relevance is divided by, away from zero")]
_FAR_OUTSIDE = 0.25  # of the range, on the average: noise added to pixels leaves their range by less
Scale = Annotated[
    Literal["relative", "absolute"], Doc("whether ε counts in root mean squares of a layer's outputs, or is as written")
]


@dataclass(frozen=True, kw_only=True)
class LayerRule(Named):
    """How a linear layer shares relevance out among its inputs."""

    @abstractmethod
    def back(self, layer: Affine, given: torch.Tensor, relevance: torch.Tensor, box: Box) -> torch.Tensor:
        """The relevance of what the layer was given.

        Args:
            layer: the layer, in the precision of `given`.
            given: x.
            relevance: R, at the layer's output.
            box: the lowest and highest x, known at the pixels only.

        Raises:
            NotSupportedError: the rule is not defined for this layer.
        """


@dataclass(frozen=True, kw_only=True)
class Epsilon(LayerRule):
    """In proportion to x_i w_ij."""

    epsilon: Small = 1e-6
    scale: Scale = "relative"

    def back(self, layer: Affine, given: torch.Tensor, relevance: torch.Tensor, box: Box) -> torch.Tensor:
        return layer.shared(
            relevance, [(given, layer.weight, layer.bias)], self.epsilon, relative=self.scale == "relative"
        )


@dataclass(frozen=True, kw_only=True)
class Gamma(LayerRule):
    """In proportion to x_i w_ij, those of z's own sign strengthened."""

    gamma: Annotated[float, Range(0, 1e6), Doc("by how much contributions of the output's sign count more")] = 0.25

    def back(self, layer: Affine, given: torch.Tensor, relevance: torch.Tensor, box: Box) -> torch.Tensor:
        output = layer.output((given, layer.weight, layer.bias))
        favour, against = (_strengthened(layer, given, self.gamma, sign) for sign in (1, -1))
        # Where z is zero neither sign is its own, and what came is lost; nothing comes where a ReLU follows.
        return layer.shared(relevance * (output > 0), favour) + layer.shared(relevance * (output < 0), against)


@dataclass(frozen=True, kw_only=True)
class AlphaBeta(LayerRule):
    """Positive and negative contributions apart."""

    alpha: Annotated[float, Range(0, 1e6), Doc("weight of what speaks for; alpha − beta = 1")] = 2.0
    beta: Annotated[float, Range(-1, 1e6), Doc("weight of what speaks against; −1 with alpha = 0: that alone")] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if abs(self.alpha - self.beta - 1) > 1e-9:
            raise SpecError(
                f"alpha-beta: alpha − beta must be 1, or relevance would not be conserved, got {self.alpha:g} − "
                f"{self.beta:g}"
            )

    def back(self, layer: Affine, given: torch.Tensor, relevance: torch.Tensor, box: Box) -> torch.Tensor:
        found = torch.zeros_like(given)
        if self.alpha:
            found += self.alpha * layer.shared(relevance, _of_sign(layer, given, 1))
        if self.beta:
            found -= self.beta * layer.shared(relevance, _of_sign(layer, given, -1))
        return found


@dataclass(frozen=True, kw_only=True)
class ZPlus(LayerRule):
    """In proportion to the positive contributions alone."""

    name: ClassVar[str] = "z-plus"

    epsilon: Small = 1e-6

    def back(self, layer: Affine, given: torch.Tensor, relevance: torch.Tensor, box: Box) -> torch.Tensor:
        return layer.shared(relevance, _of_sign(layer, given, 1), self.epsilon)


@dataclass(frozen=True, kw_only=True)
class ZBox(LayerRule):
    """For pixels: in proportion to how far each is from the end of its range that would speak most against."""

    name: ClassVar[str] = "z-box"

    def back(self, layer: Affine, given: torch.Tensor, relevance: torch.Tensor, box: Box) -> torch.Tensor:
        if box is None:
            raise NotSupportedError(
                "z-box needs the lowest and the highest value of what a layer is given, which are known of the pixels "
                "only: use it for the first layer, where it is given the pixels, normalised or padded at most"
            )
        low, high = (end.to(given).expand_as(given) for end in box)
        outside = ((low - given).clamp(min=0) + (given - high).clamp(min=0)).flatten(1).mean(1)
        if (outside > _FAR_OUTSIDE * (high - low).mean()).any():
            raise NotSupportedError(
                f"z-box: pixels from {float(given.min()):.3g} to {float(given.max()):.3g} do not lie in the range from "
                f"{float(low.min()):.3g} to {float(high.max()):.3g} that the network is said to be given: say how "
                "pictures are prepared for it (preparation=)"
            )
        rise, fall = layer.weight.clamp(min=0), layer.weight.clamp(max=0)
        return layer.shared(relevance, [(given, layer.weight, None), (-low, rise, None), (-high, fall, None)])


@dataclass(frozen=True, kw_only=True)
class WSquare(LayerRule):
    """In proportion to the squared weights, whatever the input."""

    name: ClassVar[str] = "w-square"

    def back(self, layer: Affine, given: torch.Tensor, relevance: torch.Tensor, box: Box) -> torch.Tensor:
        return layer.shared(relevance, [(torch.ones_like(given), layer.weight**2, None)])


@dataclass(frozen=True, kw_only=True)
class Flat(LayerRule):
    """The same to every input."""

    def back(self, layer: Affine, given: torch.Tensor, relevance: torch.Tensor, box: Box) -> torch.Tensor:
        return layer.shared(relevance, [(torch.ones_like(given), torch.ones_like(layer.weight), None)])


RULES: Catalogue[LayerRule] = Catalogue(
    "rule",
    LayerRule,  # type: ignore[type-abstract]
    [Epsilon, Gamma, AlphaBeta, ZPlus, ZBox, WSquare, Flat],
)


def _of_sign(layer: Affine, given: torch.Tensor, sign: int) -> list[Term]:
    """The contributions of one sign: x⁺w⁺ and x⁻w⁻, or x⁺w⁻ and x⁻w⁺."""
    up, down = given.clamp(min=0), given.clamp(max=0)
    bias = None if layer.bias is None else _part(layer.bias, sign)
    return [(up, _part(layer.weight, sign), bias), (down, _part(layer.weight, -sign), None)]


def _strengthened(layer: Affine, given: torch.Tensor, gamma: float, sign: int) -> list[Term]:
    """All contributions, those of one sign 1 + γ times."""
    up, down = given.clamp(min=0), given.clamp(max=0)
    more, less = (layer.weight + gamma * _part(layer.weight, side) for side in (sign, -sign))
    bias = None if layer.bias is None else layer.bias + gamma * _part(layer.bias, sign)
    return [(up, more, bias), (down, less, None)]


def _part(tensor: torch.Tensor, sign: int) -> torch.Tensor:
    return tensor.clamp(min=0) if sign > 0 else tensor.clamp(max=0)
