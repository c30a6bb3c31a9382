"""A network as rules in the order of its graph: walked once clean, then for a batch of windows with tiles."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from sightline.passes.windows.convolution import packs
from sightline.passes.windows.folding import Folding
from sightline.passes.windows.operations import asks_for_type_only, first, follows, overwrites
from sightline.passes.windows.rules import Anything, Rule
from sightline.passes.windows.table import rule_of
from sightline.passes.windows.tracing import UntraceableError, traced

_LARGE = 1 << 22
"""Weights of a linear layer from which oneDNN's packed ones are worth a copy: 2.5 times as fast for 32 pictures."""

_AT_ONCE = 32  # pictures that weights are packed for; others are answered too


@dataclass(frozen=True, eq=False)
class Program:
    """What a network computes.

    Attributes:
        source: where the picture comes in.
        rules: of the operations that depend on the picture, in order.
        answer: what the network hands back: nodes, or lists, tuples and dictionaries of them.
        constants: what the others give.
        over: the operations that write over what they are given.
        last: the nodes that nothing looks at after a node.
    """

    source: fx.Node
    rules: dict[fx.Node, Rule]
    answer: Any
    constants: dict[fx.Node, Any]
    over: frozenset[fx.Node]
    last: dict[fx.Node, list[fx.Node]]

    @classmethod
    def of(cls, network: nn.Module, dtype: torch.dtype, picture: torch.Tensor) -> Program:
        """The program of a quiet network.

        Args:
            network: whose weights are read now, once.
            dtype: in which convolutions are computed.
            picture: what it will be given; only its type and device are looked at.

        Raises:
            UntraceableError: it has none that can be trusted.
        """
        graph = traced(network)
        inputs = [node for node in graph.nodes if node.op == "placeholder"]
        if not inputs:
            raise UntraceableError("it does not take a picture")
        rules: dict[fx.Node, Rule] = {}
        constants: dict[fx.Node, Any] = {node: node.args[0] for node in inputs[1:]}
        for node in graph.nodes:
            if node.op in ("placeholder", "output"):
                continue
            known = constants | {inputs[0]: picture.new_empty(0)} if asks_for_type_only(node, constants) else constants
            if all(other in known for other in node.all_input_nodes):
                constants[node] = _constant(node, network, known)
            else:
                rules[node] = rule_of(node, network, constants)
        over = {node for node in rules if overwrites(node, network)}
        if any(first(node) in constants for node in over):
            raise UntraceableError("it writes over a constant")
        rules = {
            node: _ready(node, rule, network, dtype)
            for node, rule in Folding(network, constants, rules, over).rules(dtype).items()
        }
        answer = next(node for node in graph.nodes if node.op == "output").args[0]
        return cls(inputs[0], rules, answer, constants, frozenset(over & rules.keys()), _last_uses(rules, answer))


def _constant(node: fx.Node, network: nn.Module, constants: dict[fx.Node, Any]) -> Any:
    """What a node gives that does not depend on the picture."""
    if node.op == "get_attr":
        found: Any = network
        for part in str(node.target).split("."):
            found = getattr(found, part)
        return found.detach() if isinstance(found, torch.Tensor) else found
    args = fx.node.map_arg(node.args, constants.__getitem__)
    kwargs = fx.node.map_arg(node.kwargs, constants.__getitem__)
    if node.op == "call_module":
        return network.get_submodule(str(node.target))(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _ready(node: fx.Node, rule: Rule, network: nn.Module, dtype: torch.dtype) -> Rule:
    """The rule itself; of a linear layer one with weights that need not be cast or packed for every batch."""
    layer: Any = network.get_submodule(str(node.target)) if node.op == "call_module" else None
    if layer is None or not isinstance(rule, Anything) or not follows(layer, (nn.Linear,)):
        return rule
    own: torch.Tensor = layer.weight.detach()
    weight, bias = own.to(dtype), None if layer.bias is None else layer.bias.detach().to(dtype)
    if own.numel() >= _LARGE and own.device.type == "cpu" and packs_linear(dtype):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, _AT_ONCE)
        return replace(rule, call=lambda given: _linear(given.to(dtype), packed, bias))
    return rule if own.dtype == dtype else replace(rule, call=lambda given: F.linear(given.to(dtype), weight, bias))


def _linear(given: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(given, packed, bias, "none", [], "")


@cache
def packs_linear(dtype: torch.dtype) -> bool:
    """Whether this torch has the kernels for packed linear layers, and they do what is expected here."""
    if not packs(dtype):
        return False
    given, weight = torch.arange(-6.0, 6.0, dtype=dtype).view(3, 4), torch.eye(4, dtype=dtype)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, _AT_ONCE)
        return torch.equal(_linear(given, packed, None), given) and torch.equal(
            _linear(given, packed, given[0]), given + given[0]
        )
    except (AttributeError, RuntimeError, TypeError):  # not in this torch, or with other arguments
        return False


def _last_uses(rules: dict[fx.Node, Rule], answer: Any) -> dict[fx.Node, list[fx.Node]]:
    """For every node what is not needed after it."""
    kept: set[fx.Node] = set()

    def keep(node: fx.Node) -> fx.Node:
        kept.add(node)
        return node

    fx.node.map_arg(answer, keep)
    seen: set[fx.Node] = set(kept)
    last: dict[fx.Node, list[fx.Node]] = defaultdict(list)
    for node in reversed(rules):
        for other in node.all_input_nodes:
            if other not in seen:
                seen.add(other)
                last[node].append(other)
        if node not in seen:  # nobody looks at it
            last[node].append(node)
    return dict(last)
