"""Relevance through transformers: what AttnLRP adds to the engine's table of operations.

    softmax                R_i = x_i (R_i − s_i Σ_j R_j)                                     proposition 3.1
    product of two parts   half to each factor, in proportion to the products: R_a = a ⊙ (R / 2z) bᵀ      eq. 14;
                           all to the one part, where the other is a constant
    layer normalisation    its standard deviation is a constant; the rest is linear          proposition 3.4
    a constant added       takes its share, as a bias does (position embedding)

Achtibat, Hatefi, Dreyer, Jain, Wiegand, Lapuschkin, Samek, "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation
for Transformers", ICML 2024. With `through="values"` attention is a constant and all relevance passes its values:
CP-LRP, Ali et al., "XAI for Transformers: Better Explanations through Conservative Propagation", ICML 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import torch
from torch.nn import functional

from sightline.errors import NotSupportedError
from sightline.models.attention import attend
from sightline.models.relevance.affine import Affine, Kind, stable, wide
from sightline.models.relevance.calls import Call, Handler, handed_on, is_part
from sightline.models.relevance.composites import Composite
from sightline.models.relevance.layer_rules import Gamma, LayerRule
from sightline.models.relevance.operations import OPERATIONS
from sightline.models.relevance.steps import Back, propagated
from sightline.types import Doc

Through: TypeAlias = Literal["softmax", "values"]


def product_of_matrices(call: Call, epsilon: float | None = None) -> torch.Tensor | None:
    """A product of two parts, and of a part with a constant that is more than a layer's weights."""
    one, other = call.argument(0, "input"), call.argument(1, "other", call.kwargs.get("mat2"))
    if call.name == "rmatmul":
        one, other = other, one
    if _is_layer(one, other):
        return OPERATIONS["matmul"](replace(call, name="matmul", args=(one, other), kwargs={}))
    return _in_proportion(torch.matmul, one, other, epsilon)


def product_by_letters(call: Call, epsilon: float | None = None) -> torch.Tensor | None:
    """The same, written as `einsum`."""
    equation, *factors = call.args
    if len(factors) != 2 or call.kwargs:
        return None
    one, other = factors
    return (
        OPERATIONS["einsum"](call)
        if _is_layer(one, other)
        else _in_proportion(partial(torch.einsum, equation), one, other, epsilon)
    )


def _is_layer(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether one of two factors holds a layer's weights."""
    return not (is_part(one) and is_part(other)) and min(one.ndim, other.ndim) < 3


def _in_proportion(
    product: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    one: torch.Tensor,
    other: torch.Tensor,
    epsilon: float | None,
) -> torch.Tensor:
    parts = [part for part in (one, other) if is_part(part)]

    def local(*_parts: torch.Tensor) -> tuple[torch.Tensor, Back]:
        a, b = one.detach(), other.detach()
        answer = product(a, b)
        divisor, check = len(parts) * stable(wide(answer), epsilon), _unchanged(a, b)

        def back(relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            check()
            with torch.enable_grad():
                leaves = [wide(own).detach().requires_grad_(is_part(part)) for own, part in ((a, one), (b, other))]
                again = product(*leaves)
            asked = [leaf for leaf in leaves if leaf.requires_grad]
            found = torch.autograd.grad(again, asked, wide(relevance) / divisor)
            return tuple((leaf.detach() * came).to(relevance.dtype) for leaf, came in zip(asked, found, strict=True))

        return answer, back

    return propagated(local, *parts)


def _product(call: Call) -> torch.Tensor | None:
    """Half to each of two parts; a gate or a constant as ever."""
    known = OPERATIONS["mul"](call)
    one, other = call.argument(0, "input"), call.argument(1, "other")
    if known is not None or not (is_part(one) and is_part(other)):
        return known
    shapes = one.shape, other.shape

    def back(relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return tuple((relevance / 2).sum_to_size(shape) for shape in shapes)

    return propagated(lambda a, b: (a * b, back), one, other)


def _softmax(call: Call) -> torch.Tensor | None:
    given = call.argument(0, "input")
    if not is_part(given) or given.ndim < 3:
        return None  # a head's: the score is then no logit
    axis = call.argument(1, "dim")
    if isinstance(rules := call.engine.composite, AttnLrpRules) and rules.through == "values":
        return call.on(given.detach())

    def local(own: torch.Tensor) -> tuple[torch.Tensor, Back]:
        answer = call.on(own)
        finite = torch.where(own.isinf(), 0.0, own)  # what is masked out takes nothing
        weights = answer.detach()  # the answer itself holds the way back, and would never be let go by it
        check = _unchanged(weights)

        def back(relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            check()
            return ((finite * (relevance - weights * relevance.sum(axis, keepdim=True))).to(own.dtype),)

        return answer, back

    return propagated(local, given)


def _layer_norm(call: Call) -> torch.Tensor | None:
    given, shape = call.argument(0, "input"), call.argument(1, "normalized_shape")
    weight, bias = call.argument(2, "weight"), call.argument(3, "bias")
    if not is_part(given) or is_part(weight) or is_part(bias):
        return None
    axes = tuple(range(-len(shape), 0))
    counted = None if call.engine.composite.bias == "ignored" else bias

    def local(own: torch.Tensor) -> tuple[torch.Tensor, Back]:
        kept = wide(own).clone()  # the network may overwrite its own
        scale = (kept.var(axes, correction=0, keepdim=True) + call.argument(4, "eps", 1e-5)).rsqrt()
        scale = scale if weight is None else scale * weight

        def run(x: torch.Tensor, slope: torch.Tensor, shift: torch.Tensor | None) -> torch.Tensor:
            centred = (x - x.mean(axes, keepdim=True)) * slope
            return centred if shift is None else centred + shift

        def back(relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            layer = Affine("dense", run, scale, counted, None)
            return (layer.shared(wide(relevance), [(kept, layer.weight, layer.bias)], None).to(own.dtype),)

        return call.on(own), back

    return propagated(local, given)


def _sum(call: Call) -> torch.Tensor | None:
    """A constant takes its share, where biases do."""
    one, other = call.argument(0, "input"), call.argument(1, "other")
    if (
        (is_part(one) and is_part(other))
        or call.engine.composite.bias == "ignored"
        or call.argument(2, "alpha", 1) != 1
    ):
        return OPERATIONS["add"](call)
    given, constant = (one, other) if is_part(one) else (other, one)

    def local(own: torch.Tensor) -> tuple[torch.Tensor, Back]:
        answer, shape = own + constant, own.shape
        share = wide(own) / stable(wide(answer))
        share = torch.where(share.isfinite(), share, 0.0)  # a mask of −∞

        def back(relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            return ((relevance * share).sum_to_size(shape).to(relevance.dtype),)

        return answer, back

    return propagated(local, given)


def _unchanged(*tensors: torch.Tensor) -> Callable[[], None]:
    """A check that nothing has been written into them since: they are the network's own, and nothing is kept twice."""
    versions = [tensor._version for tensor in tensors]

    def check() -> None:
        if versions != [tensor._version for tensor in tensors]:
            raise NotSupportedError(
                "what an attention was given was overwritten later in the pass, so that its relevance cannot be told: "
                "give the network with inplace=False"
            )

    return check


def _hands_on(call: Call) -> torch.Tensor | None:
    given = call.argument(0, "input")
    return handed_on(given, call.on) if is_part(given) else None


def _multi_head_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _width: int, heads: int, *more: Any, **kwargs: Any
) -> tuple[torch.Tensor, None]:
    """`multi_head_attention_forward` step by step, `n b K` each; the weights are not handed out."""
    weight, bias, *unusual, _, out_weight, out_bias = more[:8]
    separate, padding = kwargs.get("use_separate_proj_weight"), kwargs.get("key_padding_mask")
    if separate or padding is not None or any(part is not None and part is not False for part in unusual):
        raise NotSupportedError(
            "relevance is not defined for attention with added tokens, padding or separate projections: use "
            "attention-relevance"
        )
    biases = (None, None, None) if bias is None else bias.chunk(3)
    q, k, v = (
        functional.linear(given, own, shift).unflatten(2, (heads, -1)).permute(1, 2, 0, 3)
        for given, own, shift in zip((query, key, value), weight.chunk(3), biases, strict=True)
    )
    mixed = attend(q, k, v, kwargs.get("attn_mask")).permute(2, 0, 1, 3).flatten(2)
    return functional.linear(mixed, out_weight, out_bias), None


@dataclass(frozen=True, kw_only=True)
class AttnLrpRules(Composite):
    """Rules for everything in a transformer, and a layer rule for each kind of linear layer."""

    dense: Annotated[LayerRule, Doc("of dense layers")] = Gamma(gamma=0.05)
    convolution: Annotated[LayerRule, Doc("of convolutions")] = Gamma(gamma=0.25)
    through: Annotated[Through, Doc("whether relevance passes an attention's softmax, or its values alone")] = "softmax"

    name: ClassVar[str] = "attn-lrp"
    exact: ClassVar[bool] = True
    operations: ClassVar[Mapping[str, Handler]] = {
        **dict.fromkeys(("matmul", "rmatmul", "mm", "bmm"), product_of_matrices),
        "einsum": product_by_letters,
        **dict.fromkeys(("mul", "imul", "rmul", "multiply"), _product),
        **dict.fromkeys(("add", "iadd", "radd"), _sum),
        "softmax": _softmax,
        "layer_norm": _layer_norm,
        "rms_norm": _hands_on,
    }
    written_out: ClassVar[Mapping[Callable[..., Any], Callable[..., Any]]] = {
        functional.scaled_dot_product_attention: attend,
        functional.multi_head_attention_forward: _multi_head_attention,
    }

    def rule(self, kind: Kind, *, first: bool, last: bool) -> LayerRule:
        return self.convolution if kind == "convolution" else self.dense
