"""What one operation of a graph does, whichever way it was written: module, function or method."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from sightline.passes.windows.convolution import scale_and_shift

_OVERWRITING = frozenset({
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.iand, operator.ior, operator.ipow,
})  # fmt: skip
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_DROPPING = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout)
_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


def first(node: fx.Node) -> fx.Node:
    """The node whose answer an operation is given first."""
    given = node.args[0] if node.args else None
    return given if isinstance(given, fx.Node) else node.all_input_nodes[0]


def follows(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Whether a module computes what one of these kinds does, and nothing of its own."""
    if "forward" in vars(module):
        return False
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in kinds)


def argument(node: fx.Node, place: int, name: str, default: Any) -> Any:
    """What a node is given, by position or by name."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def hands_on(node: fx.Node, network: nn.Module) -> bool:
    """Whether a quiet network's node does nothing: dropout, identity."""
    if not node.args or not isinstance(node.args[0], fx.Node):
        return False
    if node.op == "call_module":
        return follows(network.get_submodule(str(node.target)), (nn.Identity, *_DROPOUTS))
    return node.op == "call_function" and node.target in _DROPPING and argument(node, 2, "training", True) is False


def asks_for_type_only(node: fx.Node, constants: dict[fx.Node, Any]) -> bool:
    """Whether of what is no constant only the type and the device matter: `mean.to(x)`, `x.device`."""
    if node.op == "call_method":
        return node.target in ("to", "type_as") and node.args[0] in constants
    return node.target is getattr and node.args[1] in ("dtype", "device")


def is_relu(node: fx.Node, network: nn.Module) -> bool:
    """Whether a node is a ReLU."""
    if node.op == "call_module":
        return follows(network.get_submodule(str(node.target)), (nn.ReLU,))
    if node.op == "call_function":
        return node.target in (F.relu, F.relu_, torch.relu, torch.relu_)
    return node.op == "call_method" and node.target in ("relu", "relu_")


def is_sum(node: fx.Node) -> bool:
    """Whether a node is the plain sum of two others."""
    by_function = node.op == "call_function" and node.target in (operator.add, operator.iadd, torch.add)
    by_method = node.op == "call_method" and node.target in ("add", "add_")
    two = len(node.args) == 2 and all(isinstance(one, fx.Node) for one in node.args)
    return (by_function or by_method) and two and not node.kwargs


def norm_of(
    node: fx.Node, network: nn.Module, constants: dict[fx.Node, Any]
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Scale and shift, float64, of a node that normalises by stored statistics."""
    if node.op == "call_module":
        norm: Any = network.get_submodule(str(node.target))
        if follows(norm, (nn.BatchNorm2d,)):
            return scale_and_shift(norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps)
    if node.op == "call_function" and node.target is F.batch_norm:
        named = dict(zip(_NORM, node.args, strict=False)) | node.kwargs
        rest: dict[str, Any] = {
            name: constants.get(value) if isinstance(value, fx.Node) else value for name, value in named.items()
        }
        if not rest.get("training") and isinstance(rest["running_mean"], torch.Tensor):
            parts = (rest["running_mean"], rest["running_var"], rest.get("weight"), rest.get("bias"))
            return scale_and_shift(*parts, rest.get("eps", 1e-5))
    return None


def overwrites(node: fx.Node, network: nn.Module) -> bool:
    """Whether an operation writes its answer over the first thing it is given."""
    if node.op == "call_module":
        return bool(getattr(network.get_submodule(str(node.target)), "inplace", False))
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    if node.op not in ("call_method", "call_function"):
        return False
    by_name = name.endswith("_") and not name.endswith("__")
    return by_name or node.target in _OVERWRITING or bool(node.kwargs.get("inplace")) or _told_by_position(node)


def _told_by_position(node: fx.Node) -> bool:
    """Whether a function of `torch.nn.functional` was told by position to work in place."""
    code = getattr(node.target, "__code__", None)
    if code is None or "inplace" not in code.co_varnames[: code.co_argcount]:
        return False
    place = code.co_varnames.index("inplace")
    return len(node.args) > place and bool(node.args[place])
