"""Rules that change how gradients pass a non-linearity.

    deconvnet   R·1[R > 0]             Zeiler, Fergus, ECCV 2014
    guided      R·1[R > 0]·1[u > 0]    Springenberg et al., ICLR workshop 2015
    rescale     R·Δoutput/Δinput       Shrikumar, Greenside, Kundaje, ICML 2017: DeepLIFT, differences to a reference

R is the gradient that arrives at a ReLU, u what the ReLU was given. The rules hold for every ReLU that torch is asked
for while the network runs: a module (used once or often), a function, in place, `clamp(min=0)`, or clipped above as
ReLU6. Calls are taken over where they are made, not where modules end. After the pass the record of what was computed
is read (`models/graph.py`): where a non-linearity is left that the rule is not defined for, the network is refused by
name. A gradient that quietly is the plain one cannot come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from sightline.errors import NotSupportedError
from sightline.models.graph import NORMS, POOLS, name_of, not_linear, on_the_way

Rule: TypeAlias = Literal["deconvnet", "guided", "rescale"]
Back: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""From the gradient at a non-linearity's output to that at its input."""

NEAR_ZERO = 1e-7
"""Below this difference of inputs DeepLIFT takes the gradient, as the authors' code does."""

_ACTIVATIONS = frozenset({
    "relu", "relu6", "threshold", "hardtanh", "clamp", "clamp_min", "clip", "leaky_relu", "prelu", "rrelu", "elu",
    "selu", "celu", "gelu", "silu", "mish", "hardswish", "sigmoid", "hardsigmoid", "logsigmoid", "tanh", "softplus",
    "softsign",
})  # fmt: skip
_COMPARISONS = frozenset({"gt", "ge", "lt", "le", "greater", "less", "sign", "sgn", "heaviside", "round", "floor"})
_POOLS = {functional.max_pool1d: 3, functional.max_pool2d: 4, functional.adaptive_max_pool2d: 4}
"""Functions, and the dimensions of what they are given."""
_PROBE = (-1e4, -1.0, -1e-3, 0.0, 1e-3, 1.0, 1e4)
_KNOWN: dict[Rule, frozenset[str]] = {
    "deconvnet": POOLS | {"_Passing"},
    "guided": POOLS | NORMS | {"_Passing"},
    "rescale": frozenset({"_Passing"}),
}
"""Operations that a rule has an answer for, beside linear ones; a normalisation passes its own gradient."""
_LEAST = 1e-2  # what is clipped below this ceiling is no ReLU


class _Passing(torch.autograd.Function):
    """A non-linearity that passes gradients by a rule."""

    @staticmethod
    def forward(ctx: Any, given: torch.Tensor, local: Callable[[torch.Tensor], tuple[torch.Tensor, Back]]) -> Any:
        answer, ctx.back = local(given)
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return ctx.back(gradient), None


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of a function of torch on a tensor."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def on(self, given: torch.Tensor, **more: Any) -> Any:
        """The same call on another tensor."""
        kwargs = {key: value for key, value in self.kwargs.items() if key != "input"}
        return self.function(given, *self.args[1:], **kwargs | more)

    def answer(self, given: torch.Tensor) -> torch.Tensor:
        """The answer; what was given is left alone, also where the call works in place."""
        answer: torch.Tensor = self.on(given.detach().clone())
        return answer

    def slope(self, given: torch.Tensor) -> torch.Tensor:
        """The derivative of an element-wise function."""
        with torch.enable_grad():
            leaf = given.detach().requires_grad_()
            return torch.autograd.grad(self.on(leaf.clone()).sum(), leaf)[0]

    def probed(self, like: torch.Tensor) -> tuple[bool, bool]:
        """Whether the function is max(u, 0), clipped above or not, and whether it works in place, told by trying it."""
        probe = torch.tensor(_PROBE, dtype=like.dtype, device=like.device)
        tried = probe.clone()
        try:
            answer = self.on(tried)
        except (RuntimeError, IndexError):
            return False, False  # it has parameters of a shape of their own
        top = answer.max()
        relu = (
            answer.shape == probe.shape and bool(top > _LEAST) and torch.equal(answer, probe.clamp(min=0).minimum(top))
        )
        return relu, answer is tried


class _Mode(TorchFunctionMode):
    """Takes over the non-linearities that a network asks torch for."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule
        self.compared = ""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = args[0] if args else kwargs.get("input")
        if not (isinstance(given, torch.Tensor) and given.requires_grad and torch.is_grad_enabled()):
            return function(*args, **kwargs)
        name, call = getattr(function, "__name__", "").strip("_"), _Call(function, args, kwargs)
        if name in _COMPARISONS:
            self.compared = name  # (x > 0) * x is a ReLU of which autograd sees only a product
        if name in _ACTIVATIONS:
            relu, in_place = call.probed(given)
            if relu or self.rule == "rescale":
                local = _LOCAL[self.rule]
                answer = _Passing.apply(given, lambda own: local(call, own))
                return given.copy_(answer) if in_place else answer
        elif self.rule == "rescale" and _POOLS.get(function) == given.ndim:
            return _Passing.apply(given, lambda own: _pooled(call, own))
        return function(*args, **kwargs)


@contextmanager
def passing(rule: Rule) -> Iterator[Callable[[torch.Tensor, torch.Tensor, str, bool], None]]:
    """Gradients of what runs inside the block pass non-linearities by the rule.

    For `rescale` the first half of a batch is compared with the second; gradients are those of the first half's scores.

    Yields:
        a check to be called with the score, the pixels that the pass began at, the network's name, and whether it may
        have no ReLU at all; it raises `NotSupportedError` where anything on the way is not defined for the rule.
    """
    mode = _Mode(rule)

    def check(score: torch.Tensor, leaf: torch.Tensor, network: str, may_have_none: bool) -> None:
        nodes = on_the_way(score, leaf)
        others = not_linear(nodes, _KNOWN[rule])
        if mode.compared:
            others[f"a comparison ({mode.compared})"] += 1
        if others:
            words = ", ".join(f"{name} ({times}×)" for name, times in others.most_common(4))
            head = set(others) <= {"sigmoid", "softmax"}
            way_out = "give the network without it" if head else "use integrated-gradients or a class activation map"
            raise NotSupportedError(f"the {rule} rule is not defined for {words}, as in {network!r}: {way_out}")
        if not may_have_none and not any(name_of(node) == _Passing.__name__ for node in nodes):
            raise NotSupportedError(
                f"the {rule} rule changes how gradients pass a ReLU, and {network!r} has none: use gradient"
            )

    with mode:
        yield check


def _deconvnet(call: _Call, given: torch.Tensor) -> tuple[torch.Tensor, Back]:
    return call.answer(given), lambda gradient: gradient.clamp(min=0)


def _guided(call: _Call, given: torch.Tensor) -> tuple[torch.Tensor, Back]:
    answer = call.answer(given)
    gate = (given > 0) & (answer == given)  # a clipped ReLU passes nothing above its ceiling
    return answer, lambda gradient: gradient.clamp(min=0) * gate


def _rescaled(call: _Call, given: torch.Tensor) -> tuple[torch.Tensor, Back]:
    answer, (slope, _) = call.answer(given), _halves(call.slope(given))
    (one, other), (high, low) = _halves(given), _halves(answer)
    factor = _ratio(high - low, one - other, slope)
    return answer, lambda gradient: gradient * torch.cat([factor, factor])


def _pooled(call: _Call, given: torch.Tensor) -> tuple[torch.Tensor, Back]:
    """The largest of x is compared with the largest of x′ (Shrikumar et al.; captum): what the larger of both has more
    than that of x′ belongs to its place in x, what it has more than that of x to the place of x′, with a minus."""
    answer, places = call.on(given.detach(), return_indices=True)
    (one, other), (high, low) = _halves(given.detach()), _halves(answer)
    at_one, at_other = (half.flatten(2) for half in _halves(places))
    more, less = (high - low).clamp(min=0), (high - low).clamp(max=0)

    def back(gradient: torch.Tensor) -> torch.Tensor:
        arrived = _halves(gradient)[0]
        empty = torch.zeros_like(one).flatten(2)
        slope = empty.scatter_add(2, at_one, arrived.flatten(2))
        # Windows overlap: one place may be the largest of several, so contributions are added, never written over.
        moved = empty.scatter_add(2, at_one, (arrived * more).flatten(2))
        moved = moved.scatter_add(2, at_other, (arrived * less).flatten(2))
        passed = _ratio(moved.view_as(one), one - other, slope.view_as(one))
        return torch.cat([passed, torch.zeros_like(passed)])

    return answer, back


def _ratio(moved: torch.Tensor, difference: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """moved / difference, and the slope where there is next to no difference."""
    differs = difference.abs() > NEAR_ZERO
    return torch.where(differs, moved / torch.where(differs, difference, 1.0), slope)


def _halves(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures and their references."""
    one, other = tensor.split(len(tensor) // 2)
    return one, other


_LOCAL: dict[Rule, Callable[[_Call, torch.Tensor], tuple[torch.Tensor, Back]]] = {
    "deconvnet": _deconvnet,
    "guided": _guided,
    "rescale": _rescaled,
}
