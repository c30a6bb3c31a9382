"""The network's own operations as a graph, or the reason why there is none that can be trusted."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules import module as hooks

from sightline.models.quiet import mixes_batch_mates
from sightline.passes.windows.operations import hands_on, overwrites

_WRITING_INTO_PARTS = frozenset({operator.setitem, operator.delitem, setattr})


class UntraceableError(Exception):
    """The network has no graph; the text says why."""


def traced(network: nn.Module) -> fx.Graph:
    """The graph of a quiet network, in which what was written over is never looked at again.

    Raises:
        UntraceableError: its way depends on what it is given, others listen on the way, or pictures are mixed.
    """
    if mixes_batch_mates(network):
        raise UntraceableError("it mixes the pictures of a batch, or has a batch of one built in")
    if _listened_to(network):
        raise UntraceableError("hooks are registered on its modules")
    before = set(vars(network))
    try:
        graph = _Tracer().trace(network)
        _check(graph)
    except UntraceableError:
        raise
    except Exception as error:  # the network's own code runs here, and may raise anything at a stand-in for a tensor
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UntraceableError(f"it cannot be traced ({reason})") from error
    finally:
        for name in set(vars(network)) - before:  # constants that the tracer put there
            delattr(network, name)
    for node in list(graph.nodes):
        if hands_on(node, network):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for node in graph.nodes:
        if overwrites(node, network):
            _look_at_the_answer(node)
    return graph


class _Tracer(fx.Tracer):
    """Keeps constant tensors in the graph instead of writing them into the user's module."""

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, torch.Tensor) and not isinstance(a, nn.Parameter) and a not in self.tensor_attrs:
            named = {id(buffer) for _, buffer in self.root.named_buffers()}
            if id(a) not in named:
                return self.create_node("call_function", _Constant(a), (), {})
        return super().create_arg(a)


class _Constant:
    """A tensor that the network makes without looking at the picture."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self.__name__ = "constant"

    def __call__(self) -> torch.Tensor:
        return self.tensor


def _listened_to(network: nn.Module) -> bool:
    """Whether calling a module does more than its own code: hooks of the user, of pruning or of weight norms."""
    if hooks._global_forward_hooks or hooks._global_forward_pre_hooks:
        return True
    return any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def _check(graph: fx.Graph) -> None:
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    if any(not node.args and place for place, node in enumerate(inputs)):
        raise UntraceableError("it takes more than a picture")
    if any(node.op == "call_function" and node.target in _WRITING_INTO_PARTS for node in graph.nodes):
        raise UntraceableError("it writes into parts of a tensor")


def _look_at_the_answer(node: fx.Node) -> None:
    """What comes after an operation in place sees what it wrote: say so in the graph."""
    written = node.args[0] if node.args else None
    if not isinstance(written, fx.Node):
        return
    later, after = set(), False
    for other in node.graph.nodes:
        if after:
            later.add(other)
        after = after or other is node
    written.replace_all_uses_with(node, delete_user_cb=lambda user: user in later)
