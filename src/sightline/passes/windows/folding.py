"""What follows a convolution is done with it: a batch normalisation in its weights, a sum and a ReLU in its answer.

Only where nothing else looks at what stands between. The graph is ours to change; the network's own weights are not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from sightline.passes.windows.convolution import Convolution
from sightline.passes.windows.kernels import added, convolving
from sightline.passes.windows.operations import first, is_relu, is_sum, norm_of
from sightline.passes.windows.rules import Rule


class Folding:
    """Changes a graph and its rules node by node, in order."""

    def __init__(
        self, network: nn.Module, constants: dict[fx.Node, Any], rules: dict[fx.Node, Rule], over: set[fx.Node]
    ) -> None:
        self._network = network
        self._over = over
        self._constants = constants
        self._rules = rules
        self._made: dict[fx.Node, Convolution] = {}

    def rules(self, dtype: torch.dtype) -> dict[fx.Node, Rule]:
        """The rules of what is left of the graph, with weights ready to use."""
        for node in list(self._rules):
            if isinstance(call := getattr(self._rules[node], "call", None), Convolution):
                self._made[node] = call
            else:
                self._fold(node)
        ready = {node: convolving(convolution.ready(dtype)) for node, convolution in self._made.items()}
        graph = next(iter(self._rules)).graph if self._rules else fx.Graph()
        return {node: ready.get(node) or self._rules[node] for node in graph.nodes if node in self._rules}

    def _fold(self, node: fx.Node) -> None:
        before = self._alone_before(node)
        if before and is_relu(node, self._network):
            self._made[before[0]] = self._made[before[0]].with_relu()
            self._drop(node, before[0])
        elif before and not self._done(before[0]) and (norm := norm_of(node, self._network, self._constants)):
            self._made[before[0]] = self._made[before[0]].scaled(*norm)
            self._drop(node, before[0])
        elif is_sum(node) and (ready := [one for one in before if not self._done(one)]):
            self._add(node, ready[0])

    def _alone_before(self, node: fx.Node) -> list[fx.Node]:
        """The convolutions whose answers only this node looks at."""
        return [one for one in node.all_input_nodes if one in self._made and len(one.users) == 1]

    def _done(self, node: fx.Node) -> bool:
        """Whether a convolution ends already in a sum or a ReLU, after which nothing can be folded in but a ReLU."""
        return self._made[node].relu or node.target is added

    def _add(self, node: fx.Node, convolution: fx.Node) -> None:
        """One node in place of a convolution and the sum behind it."""
        source = first(convolution)
        other = next((one for one in node.all_input_nodes if one is not convolution), convolution)
        if other is convolution or other in self._constants or any(user in self._over for user in source.users):
            return  # the convolution is done later now: what it looks at must still be there
        with node.graph.inserting_before(node):
            both = node.graph.call_function(added, (source, other))
        self._made[both] = self._made.pop(convolution)
        self._rules[both] = self._rules.pop(convolution)
        self._drop(node, both)
        node.graph.erase_node(convolution)

    def _drop(self, node: fx.Node, instead: fx.Node) -> None:
        node.replace_all_uses_with(instead)
        node.graph.erase_node(node)
        del self._rules[node]
