"""What each of torch's functions does with relevance: one table from a function's name to what takes its call over.

    linear layers                  by the rule of the composite (`layer_rules.py`)
    batch normalisation            becomes part of the linear layer that it directly follows; elsewhere of those that it
                                   leads to (`ahead.py`), or hands on (`normalisation=handed-on`)
    sums, differences              each part in proportion to what it adds: R_a = a / (a + b) · R
    means, average pooling, and
    enlarging                      in proportion to what each input adds
    activations that keep the
    sign of what they are given    hand on as it is (zennit's pass)
    a constant added or multiplied hands on as it is
    a gate (x · sigmoid(g))        x takes all, the gate nothing (Arras et al., "Explaining Recurrent Neural Network
                                   Predictions in Sentiment Analysis", WASSA 2017: signal-take-all)

What relevance is divided by in steps without a rule, such as sums and means, is kept from zero by a millionth of its
root mean square in float32, and by 10⁻¹² of it in float64 (`affine.py`).

Views, concatenation and maximum need no entry: what autograd hands back through them is already right. Whatever else
stands between picture and score is refused by name when the pass is over (`propagation.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from sightline.models.relevance.affine import stable, wide
from sightline.models.relevance.ahead import Pooled, ahead_of
from sightline.models.relevance.calls import Call, Handler, handed_on, is_part, origin
from sightline.models.relevance.layer_calls import (
    batch_norm,
    convolution,
    dense,
    product_by_letters,
    product_of_matrices,
    sum_and_product_of_matrices,
)
from sightline.models.relevance.steps import Back, propagated

GATES = frozenset({"Sigmoid", "Hardsigmoid", "Softmax"})
_PROBE = (-1e4, -1.0, -1e-3, 0.0, 1e-3, 1.0, 1e4)


def _activation(call: Call) -> torch.Tensor | None:
    given = call.argument(0, "input")
    if not is_part(given):
        return None
    keeps_sign, rectifies = _tried(call)
    return handed_on(given, lambda own: call.on(own.clone()), rectifies=rectifies) if keeps_sign else None


def _tried(call: Call) -> tuple[bool, bool]:
    """Whether an activation answers zero with zero, and everything with its own sign or zero; whether it is a ReLU."""
    given: torch.Tensor = call.argument(0, "input")
    probe = torch.tensor(_PROBE, dtype=given.dtype, device=given.device)
    try:
        answer = call.on(probe.clone())
    except (RuntimeError, IndexError):
        # Parameters of a shape of their own: a slope for each channel.
        slopes = call.argument(1, "weight")
        return call.name == "prelu" and not is_part(slopes) and bool((slopes >= 0).all()), False
    if answer.shape != probe.shape:
        return False, False
    keeps_sign = bool(((answer * probe >= 0) & ((probe != 0) | (answer == 0))).all())
    return keeps_sign, torch.equal(answer, probe.clamp(min=0))


def _sum(call: Call, *, sign: int = 1) -> torch.Tensor | None:
    one, other = call.argument(0, "input"), call.argument(1, "other")
    factor = sign * call.argument(2, "alpha", 1)
    if not (is_part(one) and is_part(other)):
        given, constant = (one, other) if is_part(one) else (other, one)
        if given is one:
            return handed_on(given, lambda own: torch.add(own, constant, alpha=factor), monotone=True)
        return handed_on(
            given, lambda own: torch.add(torch.as_tensor(constant).to(own), own, alpha=factor), monotone=True
        )

    def local(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, Back]:
        answer = torch.add(a, b, alpha=factor)
        divisor = stable(wide(answer))
        shares = [(wide(a) / divisor, a.shape), (factor * wide(b) / divisor, b.shape)]

        def back(relevance: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            return tuple((relevance * share).sum_to_size(shape).to(relevance.dtype) for share, shape in shares)

        return answer, back

    return propagated(local, one, other)


def _product(call: Call) -> torch.Tensor | None:
    one, other = call.argument(0, "input"), call.argument(1, "other")
    gated = is_part(one) and is_part(other)
    if gated:
        gates = [origin(part) in GATES for part in (one, other)]
        if gates[0] == gates[1]:
            return None
        given, factor = (other, one.detach()) if gates[0] else (one, other.detach())
    else:
        given, factor = (one, other) if is_part(one) else (other, one)
    shape, shown = given.shape, torch.as_tensor(factor, device=given.device) != 0
    return handed_on(
        given, lambda own: own * factor, lambda relevance: (relevance * shown).sum_to_size(shape), monotone=not gated
    )


def _quotient(call: Call) -> torch.Tensor | None:
    given, divisor = call.argument(0, "input"), call.argument(1, "other")
    rounds = call.kwargs.get("rounding_mode") is not None
    if not is_part(given) or is_part(divisor) or rounds:
        return None
    return handed_on(given, lambda own: own / divisor, monotone=True)


def _negative(call: Call) -> torch.Tensor | None:
    return handed_on(call.argument(0, "input"), torch.neg, monotone=True)


def _padding(call: Call) -> torch.Tensor | None:
    """What reaches copies is added up; what reaches constants is lost, as in convolutions that pad."""
    given, pad = call.argument(0, "input"), call.rest()
    if not is_part(given):
        return None
    shape = given.shape

    def back(relevance: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            leaf = relevance.new_zeros(shape).requires_grad_()
            return torch.autograd.grad(pad(leaf), leaf, relevance)[0]

    return handed_on(given, pad, back, monotone=True)


def _mean(call: Call) -> torch.Tensor | None:
    """Linear without weights of its own: R_i = x_i · ∂z/∂x_i · R / z."""
    given = call.argument(0, "input")
    if not is_part(given):
        return None

    rest = call.rest()
    ahead = ahead_of(given) if call.engine.composite.normalisation == "merged" else None
    # A clone: the network may overwrite its own.
    return propagated(lambda own: (rest(own), Pooled(own.clone(), rest, ahead)), given)


ACTIVATIONS = (
    "relu", "relu6", "threshold", "hardtanh", "clamp", "clamp_min", "clip", "leaky_relu", "prelu", "rrelu", "elu",
    "selu", "celu", "gelu", "silu", "mish", "hardswish", "tanh", "softsign",
)  # fmt: skip
"""Tried before they are taken for activations that keep the sign of what they are given."""

OPERATIONS: Mapping[str, Handler] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), partial(convolution, channels=0)),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), partial(convolution, channels=1)),
    "linear": dense,
    **dict.fromkeys(("matmul", "rmatmul", "mm"), product_of_matrices),
    "einsum": product_by_letters,
    "addmm": sum_and_product_of_matrices,
    "batch_norm": batch_norm,
    **dict.fromkeys(ACTIVATIONS, _activation),
    **dict.fromkeys(("add", "iadd", "radd"), _sum),
    **dict.fromkeys(("sub", "isub", "subtract"), partial(_sum, sign=-1)),
    **dict.fromkeys(("mul", "imul", "rmul", "multiply"), _product),
    **dict.fromkeys(("div", "truediv", "itruediv", "divide", "true_divide"), _quotient),
    **dict.fromkeys(("neg", "negative"), _negative),
    "pad": _padding,
    **dict.fromkeys(
        (
            "mean", "sum", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
            "adaptive_avg_pool3d", "interpolate", "upsample",
        ),
        _mean,
    ),
}  # fmt: skip
"""By the function's name without underscores: `add`, `add_` and `__add__` are `add`, `+=` is `iadd`."""
