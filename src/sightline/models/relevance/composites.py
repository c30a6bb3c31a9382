"""Which rule which layer goes by: composites are tables from the kind of a layer, and its place, to a rule.

    composite                first layer   convolutions   dense layers
    epsilon-plus-flat        flat          z-plus         epsilon
    epsilon-plus             z-plus        z-plus         epsilon
    epsilon-gamma-box        z-box         gamma          epsilon
    epsilon-alpha2-beta1     alpha-beta    alpha-beta     epsilon
    epsilon-alpha2-beta1-flat  flat        alpha-beta     epsilon
    epsilon                  epsilon       epsilon        epsilon
    table                    as its fields say

After Kohlbrenner et al., "Towards Best Practice in Explaining Neural Network Decisions with LRP", IJCNN 2020, and
zennit's composites of the same names. A layer is first where no other linear layer stands between it and the picture,
and last where none stands between it and the scores.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from sightline.models.relevance.affine import Kind
from sightline.models.relevance.layer_rules import AlphaBeta, Epsilon, Flat, Gamma, LayerRule, Scale, Small, ZBox, ZPlus
from sightline.spec import Catalogue, Named
from sightline.types import Doc, Range


@dataclass(frozen=True, kw_only=True)
class Composite(Named):
    """Which rule each layer goes by.

    Attributes:
        operations: what is added to, or put in place of, what the engine knows of torch's functions (`operations.py`).
        written_out: functions of torch that are run step by step in place of themselves, by what runs the steps.
        exact: whether it is run in float32 with `precision=fast`, too: its quotients lose their order in bfloat16.
    """

    bias: Annotated[
        Literal["absorbs", "ignored"], Doc("whether a bias takes its share of the relevance, or counts for nothing")
    ] = "absorbs"
    normalisation: Annotated[
        Literal["merged", "handed-on"],
        Doc("a batch normalisation that no linear layer stands right before: part of the layers behind it, or as none"),
    ] = "merged"

    operations: ClassVar[Mapping[str, Any]] = {}
    written_out: ClassVar[Mapping[Any, Any]] = {}
    exact: ClassVar[bool] = False

    @abstractmethod
    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        """The rule of a layer."""


@dataclass(frozen=True, kw_only=True)
class Table(Composite):
    """A rule for each kind of layer, as written."""

    first: Annotated[LayerRule | None, Doc("of the first layer; as its kind when none")] = None
    convolution: Annotated[LayerRule, Doc("of convolutions")] = ZPlus()
    dense: Annotated[LayerRule, Doc("of dense layers")] = Epsilon()
    last: Annotated[LayerRule | None, Doc("of the layer that gives the scores; as its kind when none")] = None

    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        if first and self.first is not None:
            return self.first
        if last and self.last is not None:
            return self.last
        return self.convolution if kind == "convolution" else self.dense


@dataclass(frozen=True, kw_only=True)
class EpsilonComposite(Composite):
    """The epsilon rule everywhere: on networks of ReLUs without biases it is input × gradient."""

    epsilon: Small = 1e-6
    scale: Scale = "relative"

    name: ClassVar[str] = "epsilon"

    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        return self._epsilon()

    def _epsilon(self) -> Epsilon:
        return Epsilon(epsilon=self.epsilon, scale=self.scale)


@dataclass(frozen=True, kw_only=True)
class EpsilonPlus(EpsilonComposite):
    """Positive contributions in convolutions, all in dense layers."""

    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        return ZPlus() if kind == "convolution" else self._epsilon()


@dataclass(frozen=True, kw_only=True)
class EpsilonPlusFlat(EpsilonPlus):
    """As epsilon-plus, and the first layer shares out evenly."""

    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        return Flat() if first else super().rule(kind, first=first, last=last)


@dataclass(frozen=True, kw_only=True)
class EpsilonGammaBox(EpsilonComposite):
    """Strengthened positive contributions in convolutions, and the range of the pixels in the first layer."""

    gamma: Annotated[float, Range(0, 1e6), Doc("the gamma rule's")] = 0.25

    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        if first:
            return ZBox()
        return Gamma(gamma=self.gamma) if kind == "convolution" else self._epsilon()


@dataclass(frozen=True, kw_only=True)
class EpsilonAlpha2Beta1(EpsilonComposite):
    """What speaks for twice, less what speaks against once, in convolutions."""

    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        return AlphaBeta(alpha=2, beta=1) if kind == "convolution" else self._epsilon()


@dataclass(frozen=True, kw_only=True)
class EpsilonAlpha2Beta1Flat(EpsilonAlpha2Beta1):
    """As epsilon-alpha2-beta1, and the first layer shares out evenly."""

    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        return Flat() if first else super().rule(kind, first=first, last=last)


COMPOSITES: Catalogue[Composite] = Catalogue(
    "composite",
    Composite,  # type: ignore[type-abstract]
    [
        EpsilonPlusFlat,
        EpsilonPlus,
        EpsilonGammaBox,
        EpsilonAlpha2Beta1,
        EpsilonAlpha2Beta1Flat,
        EpsilonComposite,
        Table,
    ],
)
