"""A network's forward and backward pass, traced as one graph of torch's own operations, and cut in two.

What does not depend on the seed, the gradient at the scores, belongs to the forward half; what the backward half takes
from there is saved between them. Operations are taken apart before (`_TAKEN_APART`), so that little is saved: of a ReLU
the side on which each value fell, one byte, and not the value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from sightline.passes.runtimes.gradients.rules import only_shape
from sightline.types import Pixels, Scores

_aten = torch.ops.aten

_TAKEN_APART = (
    _aten.threshold_backward, _aten.hardtanh_backward, _aten.leaky_relu_backward, _aten.elu_backward,
    _aten.silu_backward, _aten.gelu_backward, _aten.mish_backward, _aten.hardswish_backward,
    _aten.hardsigmoid_backward, _aten.sigmoid_backward, _aten.tanh_backward, _aten.softplus_backward,
    _aten._softmax_backward_data, _aten._log_softmax_backward_data, _aten.native_layer_norm_backward,
    _aten.native_group_norm_backward, _aten.native_group_norm,
)  # fmt: skip

_OF_MEMORY = frozenset({_aten.as_strided.default, _aten.as_strided_.default})


@dataclass(frozen=True, eq=False)
class Joint:
    """Both passes over batches of one shape.

    Attributes:
        graph: takes pixels `b c h w` and the seed `b k`; gives the scores `b k` and the gradient `b c h w`.
        pixels: the first input.
        seed: the second.
        scores: the first output.
        gradient: the second.
        behind: what depends on the seed.
        saved: what the backward half takes from the forward half, in order.
    """

    graph: fx.GraphModule
    pixels: fx.Node
    seed: fx.Node
    scores: fx.Node
    gradient: fx.Node
    behind: frozenset[fx.Node]
    saved: tuple[fx.Node, ...]

    @torch.no_grad()
    def exactly(self, pixels: Pixels) -> tuple[Scores, list[torch.Tensor]]:
        """The scores and what is saved, by the very operations that the network runs."""
        run, values = fx.Interpreter(self.graph), {self.pixels: pixels}
        ahead = [
            node
            for node in self.graph.graph.nodes
            if node not in self.behind and node.op in ("call_function", "get_attr")
        ]
        over = last_used(ahead, [self.scores, *self.saved])
        for node in ahead:
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = getattr(run, node.op)(node.target, args, kwargs)
            for other in over.get(node, ()):
                values.pop(other, None)
        return values[self.scores], [values[node] for node in self.saved]


def last_used(nodes: Sequence[fx.Node], kept: Sequence[fx.Node]) -> dict[fx.Node, list[fx.Node]]:
    """By node, the values that nobody looks at after it: all of a pass at once would be gigabytes."""
    last = {other: node for node in nodes for other in (node, *node.all_input_nodes)}
    over: dict[fx.Node, list[fx.Node]] = {}
    for other, node in last.items():
        if other not in kept:
            over.setdefault(node, []).append(other)
    return over


def joint(raw_scores: Callable[[Pixels], Scores], pixels: Pixels) -> Joint:
    """Trace both passes over pictures like these, `b c h w`.

    Raises:
        ValueError: no gradient comes back, or there is nothing that depends on it.
    """
    # Imported when a program is made: it brings torch's compiler, which takes a second.
    from torch._decomp import get_decompositions
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def both(given: Pixels, seed: Scores) -> tuple[Scores, Pixels]:
        leaf = given.detach().requires_grad_()
        scores = raw_scores(leaf)
        return scores.detach(), torch.autograd.grad(scores, leaf, seed)[0]

    apart: Any = get_decompositions(_TAKEN_APART)
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        seed = torch.zeros_like(raw_scores(pixels[:1]).detach()).repeat(len(pixels), 1)
        graph = make_fx(both, decomposition_table=apart)(pixels, seed)
    if any(node.target in _OF_MEMORY for node in graph.graph.nodes):
        graph = make_fx(torch.func.functionalize(graph))(pixels, seed)  # writes through views become values
    graph.graph.eliminate_dead_code()
    return _cut(graph)


def _cut(graph: fx.GraphModule) -> Joint:
    pixels, seed = (node for node in graph.graph.nodes if node.op == "placeholder")
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    scores, gradient = output.args[0]
    behind, ahead = _reached(graph, seed), _reached(graph, pixels)
    if gradient not in behind:
        raise ValueError("no gradient comes back to the pixels")
    # Constants are each half's own; what only gives its shape is not wanted at all.
    taken = [one for node in graph.graph.nodes if node in behind for one in needed(node) if one not in behind]
    saved = tuple(dict.fromkeys(one for one in taken if one in ahead))
    return Joint(graph, pixels, seed, scores, gradient, behind, saved)


def _reached(graph: fx.GraphModule, begin: fx.Node) -> frozenset[fx.Node]:
    """A node and all whose values depend on it, but for the output."""
    reached = {begin}
    for node in graph.graph.nodes:
        if node.op == "call_function" and not reached.isdisjoint(needed(node)):
            reached.add(node)
    return frozenset(reached)


def needed(node: fx.Node) -> list[fx.Node]:
    """The inputs of a node whose values count, and not only their shapes."""
    shapes = only_shape(node)
    found: list[fx.Node] = []
    fx.node.map_arg([one for place, one in enumerate(node.args) if place not in shapes], found.append)
    fx.node.map_arg(node.kwargs, found.append)
    return found
