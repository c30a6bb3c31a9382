"""How much of a score reached it through each entry of each attention: relevance at the matrices A themselves.

    layers with weights     z-plus, biases left out
    product of two parts    in proportion to the products, half to each factor
    sum of two parts        R_a = a / (a + b) · R, then both scaled, so that each branch gets the share |Σ R_a| of
                            |Σ R_a| + |Σ R_b|, and none more than there is
    softmax, layer
    normalisation           hand on as it is

Chefer, Gur, Wolf, "Transformer Interpretability Beyond Attention Visualization", CVPR 2021, section 3, and the
authors' code, which normalises sums only and halves at products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch.autograd.graph import GradientEdge

from sightline.models.graph import on_the_way
from sightline.models.relevance.affine import Kind, stable, wide
from sightline.models.relevance.attention_rules import AttnLrpRules, product_by_letters, product_of_matrices
from sightline.models.relevance.calls import Call, HandedOn, Handler, handed_on, is_part
from sightline.models.relevance.composites import Composite
from sightline.models.relevance.layer_rules import LayerRule, ZPlus
from sightline.models.relevance.operations import OPERATIONS
from sightline.models.relevance.steps import Back, propagated
from sightline.types import Doc

_LEAST = 1e-9  # the authors' code: what stands in the place of a divisor that is zero
_RULE = ZPlus(epsilon=_LEAST)


@dataclass(frozen=True, eq=False)
class Weights(HandedOn):
    """The way back through the softmax of an attention."""


def _softmax(call: Call) -> torch.Tensor | None:
    given = call.argument(0, "input")
    if not is_part(given) or given.ndim < 3:
        return None  # a head's: the score is then no logit
    return propagated(lambda own: (call.on(own), Weights(lambda relevance: relevance)), given)


def _hands_on(call: Call) -> torch.Tensor | None:
    given = call.argument(0, "input")
    return handed_on(given, call.on) if is_part(given) else None


def _sum(call: Call) -> torch.Tensor | None:
    one, other = call.argument(0, "input"), call.argument(1, "other")
    if not (is_part(one) and is_part(other)) or one.shape != other.shape or call.argument(2, "alpha", 1) != 1:
        return OPERATIONS["add"](call)

    def local(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, Back]:
        answer = a + b
        divisor = stable(wide(answer), _LEAST)
        # Where the parts cancel out to the last bit nobody gets anything, as in the authors' code; the other cells do.
        shares = [torch.where(answer == 0, 0.0, wide(part) / divisor) for part in (a, b)]

        def back(relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            came = wide(relevance)
            parts = [came * share for share in shares]
            sums = [part.flatten(1).sum(1) for part in parts]
            all_of_it, sizes = came.flatten(1).sum(1), sums[0].abs() + sums[1].abs()
            return tuple(
                (part * _over(_over(own.abs(), sizes) * all_of_it, own).view(-1, *[1] * (part.ndim - 1))).to(
                    relevance.dtype
                )
                for part, own in zip(parts, sums, strict=True)
            )

        return answer, back

    return propagated(local, one, other)


def _over(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """The quotient, and 0 where what is divided by is 0."""
    return torch.where(below == 0, 0.0, above / torch.where(below == 0, 1.0, below))


@dataclass(frozen=True, kw_only=True)
class AttentionShares(Composite):
    """What counts as a share in everything between a transformer's score and its attentions."""

    bias: Annotated[Literal["absorbs", "ignored"], Doc("as in every composite")] = "ignored"

    operations: ClassVar[Mapping[str, Handler]] = {
        **AttnLrpRules.operations,
        **dict.fromkeys(("matmul", "rmatmul", "mm", "bmm"), partial(product_of_matrices, epsilon=_LEAST)),
        "einsum": partial(product_by_letters, epsilon=_LEAST),
        **dict.fromkeys(("add", "iadd", "radd"), _sum),
        "softmax": _softmax,
        "layer_norm": _hands_on,
    }
    written_out: ClassVar[Mapping[Callable[..., Any], Callable[..., Any]]] = AttnLrpRules.written_out
    exact: ClassVar[bool] = True

    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        return _RULE


def weights_between(scores: torch.Tensor, leaf: torch.Tensor) -> list[GradientEdge]:
    """Where autograd answers with the relevance of each attention's entries, in the order in which they ran."""
    nodes = reversed(on_the_way(scores, leaf))
    return [GradientEdge(node, 0) for node in nodes if isinstance(getattr(node, "back", None), Weights)]
