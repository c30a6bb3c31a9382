"""Calls of linear layers, and of the batch normalisation that becomes part of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sightline.models.graph import name_of
from sightline.models.relevance.affine import Affine, Kind
from sightline.models.relevance.ahead import normalised, taken_in
from sightline.models.relevance.calls import COPIES, SAME_ORDER, Call, Engine, Made, is_part
from sightline.models.relevance.layer_rules import Box
from sightline.models.relevance.steps import LayerBack, behind, propagated


def layer_step(call: Call, layer: Affine, given: torch.Tensor) -> torch.Tensor:
    """A linear layer, which goes by its composite's rule."""
    first = next(behind(given), None) is None
    box = _box_of(call.engine, given) if first else None
    ahead = taken_in(given) if call.engine.composite.normalisation == "merged" else None

    def local(own: torch.Tensor) -> tuple[torch.Tensor, LayerBack]:
        back = LayerBack(layer, own, call.engine.composite, first, box, ahead)
        return layer.run(own, layer.weight, layer.bias), back

    answer = propagated(local, given)
    call.engine.made[answer] = Made(layer, given, first, box, ahead, (given._version, answer._version))
    return answer


def _box_of(engine: Engine, given: torch.Tensor) -> Box:
    """The lowest and highest value of what a layer is given, where it is the pixels, normalised or padded at most."""
    if engine.box is None:
        return None
    steps: list[Callable[[torch.Tensor], torch.Tensor]] = []
    node: Any = given.grad_fn
    while node is not None and name_of(node) != "AccumulateGrad":
        again = getattr(getattr(node, "back", None), "again", None)
        if again is not None:
            steps.insert(0, again)
        elif name_of(node) not in (COPIES if steps else SAME_ORDER):
            return None
        # What was written in place comes from the second of what the writing was given.
        node = node.next_functions[1 if name_of(node) == "CopyBackwards" else 0][0]
    ends = [end[None] for end in engine.box]
    for step in steps:
        ends = [step(end) for end in ends]
    if ends[0].numel() != given.shape[1:].numel():
        return None
    low, high = (end.reshape(given.shape[1:]) for end in ends)
    return torch.minimum(low, high), torch.maximum(low, high)


def convolution(call: Call, *, channels: int) -> torch.Tensor | None:
    """A convolution; `channels` is the axis of its weights that its outputs lie on."""
    function, rest = call.function, call.args[3:]
    kwargs = {key: value for key, value in call.kwargs.items() if key not in ("input", "weight", "bias")}
    return _layer(call, "convolution", lambda x, weight, bias: function(x, weight, bias, *rest, **kwargs), channels)


def dense(call: Call) -> torch.Tensor | None:
    """A dense layer."""
    return _layer(call, "dense", call.function, 0)


def _layer(call: Call, kind: Kind, run: Callable[..., torch.Tensor], channels: int | None) -> torch.Tensor | None:
    given, weight = call.argument(0, "input"), call.argument(1, "weight")
    bias = call.argument(2, "bias")
    if not is_part(given) or is_part(weight) or is_part(bias):
        return None
    return layer_step(call, Affine(kind, run, weight, bias, channels), given)


def product_of_matrices(call: Call) -> torch.Tensor | None:
    """A product with a constant matrix, on either side: a dense layer."""
    one, other = call.argument(0, "input"), call.argument(1, "other", call.kwargs.get("mat2"))
    if call.name == "rmatmul":
        one, other = other, one
    if is_part(one) and not is_part(other):
        return layer_step(call, Affine("dense", lambda x, weight, _: x @ weight, other, None, -1), one)
    if is_part(other) and not is_part(one):
        return layer_step(call, Affine("dense", lambda x, weight, _: weight @ x, one, None, None), other)
    return None


def product_by_letters(call: Call) -> torch.Tensor | None:
    """A product with a constant, written as `einsum`: a dense layer."""
    equation, *factors = call.args
    if len(factors) != 2 or call.kwargs or is_part(factors[0]) == is_part(factors[1]):
        return None
    first = is_part(factors[0])
    given, weight = factors if first else factors[::-1]

    def run(x: torch.Tensor, own: torch.Tensor, _bias: torch.Tensor | None) -> torch.Tensor:
        answer: torch.Tensor = torch.einsum(equation, *((x, own) if first else (own, x)))
        return answer

    return layer_step(call, Affine("dense", run, weight, None, None), given)


def sum_and_product_of_matrices(call: Call) -> torch.Tensor | None:
    """bias + given @ weight, as older networks write a dense layer."""
    bias, given, weight = call.argument(0, "input"), call.argument(1, "mat1"), call.argument(2, "mat2")
    if (
        not is_part(given)
        or is_part(weight)
        or is_part(bias)
        or len(call.args) > 3
        or {"beta", "alpha"} & {*call.kwargs}
    ):
        return None

    def run(x: torch.Tensor, own: torch.Tensor, shift: torch.Tensor | None) -> torch.Tensor:
        return x @ own if shift is None else torch.addmm(shift, x, own)

    return layer_step(call, Affine("dense", run, weight, bias, -1), given)


def batch_norm(call: Call) -> torch.Tensor | None:
    """Right behind a linear layer it becomes part of it: one layer from what that was given; else of what follows."""
    given, mean, variance = (
        call.argument(place, name) for place, name in enumerate(("input", "running_mean", "running_var"))
    )
    training, epsilon = call.argument(5, "training", False), call.argument(7, "eps", 1e-5)
    if not is_part(given) or training or mean is None or variance is None:
        return None
    weight, bias = call.argument(3, "weight"), call.argument(4, "bias")
    with torch.no_grad():
        scale = (variance + epsilon).rsqrt() if weight is None else weight * (variance + epsilon).rsqrt()
        shift = -mean * scale if bias is None else bias - mean * scale
    made: Made | None = call.engine.made.get(given)
    # In other layouts than these the channels of the normalisation are not those of the layer before it.
    if made is None or not made.untouched(given) or (made.layer.kind == "dense" and given.ndim != 2):
        return normalised(given, call.rest(), shift)
    if made.layer.channels is None or made.layer.weight.shape[made.layer.channels] != len(mean):
        return normalised(given, call.rest(), shift)
    folded, before, composite = made.layer.folded(scale, shift), given.detach(), call.engine.composite

    def local(own: torch.Tensor) -> tuple[torch.Tensor, LayerBack]:
        return call.on(before), LayerBack(folded, own, composite, made.first, made.box, made.ahead)

    return propagated(local, made.given)
