"""Linear layers found again: ONNX writes them as a product with a constant matrix and a sum with a constant row.

As one `nn.Linear` they are what every method knows them to be: a part of a block, no place to look at.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn


def with_linear_layers(network: fx.GraphModule) -> fx.GraphModule:
    """The same network with every such pair as one layer, under the name of the product."""
    for node in list(network.graph.nodes):
        weight = _constant(network, node.args[1]) if _is_product(network, node) else None
        if weight is None or weight.ndim != 2:
            continue
        total, bias = _sum_after(network, node, weight.shape[1])
        layer = nn.Linear(weight.shape[0], weight.shape[1], bias=bias is not None, device="meta")
        layer.weight = nn.Parameter(weight.detach().t().contiguous())
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach().clone())
        network.set_submodule(node.target, layer)
        node.args = (node.args[0],)
        if total is not None:
            total.replace_all_uses_with(node)
            network.graph.erase_node(total)
    network.graph.eliminate_dead_code()
    network.graph.lint()
    network.recompile()
    network.delete_all_unused_submodules()
    return network


def _is_product(network: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and _kind(network, node) == "OnnxMatMul" and len(node.args) == 2


def _sum_after(network: fx.GraphModule, node: fx.Node, outputs: int) -> tuple[fx.Node | None, torch.Tensor | None]:
    """The sum with a constant row that alone takes this product, and the row."""
    user = next(iter(node.users)) if len(node.users) == 1 else None
    if user is None or user.op != "call_module" or len(user.args) != 2 or user.kwargs:
        return None, None
    module = network.get_submodule(str(user.target))
    if type(module).__name__ != "OnnxBinaryMathOperation" or getattr(module, "math_op_function", None) is not torch.add:
        return None, None
    other = user.args[1] if user.args[0] is node else user.args[0]
    row = _constant(network, other)
    fits = row is not None and row.shape == (outputs,) and not getattr(module, "broadcast", None)
    return (user, row) if fits else (None, None)


def _constant(network: fx.GraphModule, given: Any) -> torch.Tensor | None:
    """The tensor behind an argument that reads a constant of floats."""
    if not isinstance(given, fx.Node) or given.op != "get_attr":
        return None
    holder, _, name = str(given.target).rpartition(".")
    found = getattr(network.get_submodule(holder), name)
    return found if isinstance(found, torch.Tensor) and found.is_floating_point() else None


def _kind(network: fx.GraphModule, node: fx.Node) -> str:
    return type(network.get_submodule(str(node.target))).__name__
