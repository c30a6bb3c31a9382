"""Which rule each operation of a graph follows: by what it computes, never by its name alone."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from sightline.passes.windows.convolution import convolution
from sightline.passes.windows.kernels import average, convolving, maximum
from sightline.passes.windows.operations import argument, follows
from sightline.passes.windows.rules import Anything, Cellwise, Mean, Rule, Shape

_CELLWISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid,
    nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Softshrink, nn.Hardshrink,
    nn.Tanhshrink, nn.Threshold, nn.PReLU, nn.LocalResponseNorm, nn.BatchNorm2d,
)  # fmt: skip
_CELLWISE_FUNCTIONS = frozenset({
    F.relu, F.relu_, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.hardswish, F.hardsigmoid,
    F.hardtanh, F.sigmoid, F.tanh, F.softplus, F.softsign, F.logsigmoid, F.local_response_norm,
    torch.relu, torch.relu_, torch.sigmoid, torch.tanh, torch.abs, torch.neg, torch.exp, torch.log, torch.sqrt,
    torch.rsqrt, torch.square, torch.pow, torch.clamp, torch.add, torch.sub, torch.mul, torch.div, torch.maximum,
    torch.minimum, torch.clone,
    operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.pow,
    operator.iadd, operator.isub, operator.imul, operator.itruediv,
})  # fmt: skip
_CELLWISE_METHODS = frozenset({
    "relu", "relu_", "sigmoid", "sigmoid_", "tanh", "tanh_", "abs", "neg", "exp", "log", "sqrt", "rsqrt", "square",
    "pow", "clamp", "clamp_", "add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "contiguous", "clone",
    "float", "half", "double", "to", "type_as",
})  # fmt: skip
_MULTIPLYING = frozenset({F.linear, torch.matmul, operator.matmul, torch.addmm})
_JOINING = frozenset({torch.cat, torch.concat, torch.concatenate})
_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_MAXIMUM = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_ASKED = frozenset({"shape", "ndim", "dtype", "device"})


def rule_of(node: fx.Node, network: nn.Module, constants: Mapping[fx.Node, Any]) -> Rule:
    """The rule of one operation that depends on the picture."""
    if node.op == "call_module":
        return _of_module(network.get_submodule(str(node.target)))
    if node.op == "call_method":
        return _of_method(node, constants)
    if node.op == "call_function":
        return _of_function(node, constants)
    return Anything(lambda given: given)


def _of_module(module: Any) -> Rule:
    if follows(module, (nn.Conv2d,)) and module.padding_mode == "zeros":
        one = module
        return convolving(convolution(one.weight, one.bias, one.stride, one.padding, one.dilation, one.groups))
    if follows(module, _CELLWISE_MODULES):
        return Cellwise(module)
    if follows(module, (nn.MaxPool2d,)) and not module.return_indices:
        moves = (module.kernel_size, module.stride, module.padding, module.dilation)
        return maximum(module, moves, module.ceil_mode)
    if follows(module, (nn.AvgPool2d,)):
        return average(module, (module.kernel_size, module.stride, module.padding, 1), module.ceil_mode)
    if follows(module, (nn.AdaptiveAvgPool2d,)) and _is_one(module.output_size):
        return Mean(module, keepdim=True)
    return Anything(module, sum(_matrix(weight) for weight in module.parameters()))


def _of_method(node: fx.Node, constants: Mapping[fx.Node, Any]) -> Rule:
    name = str(node.target)

    def call(given: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(given, name)(*args, **kwargs)

    if name in _CELLWISE_METHODS and _uniform(node, constants):
        return Cellwise(call)
    if name in ("size", "dim", "ndimension"):
        return Shape(call)
    if name == "mean":
        return _mean(node, call)
    return Anything(call)


def _of_function(node: fx.Node, constants: Mapping[fx.Node, Any]) -> Rule:
    call: Callable[..., Any] = node.target  # type: ignore[assignment]
    if call in _CELLWISE_FUNCTIONS and _uniform(node, constants):
        return Cellwise(call)
    if call in _JOINING and argument(node, 1, "dim", 0) in (1, -3) and not _takes_constants(node, constants):
        return Cellwise(call)
    if call is F.batch_norm and argument(node, 5, "training", False) is False and _only_first(node, constants):
        return Cellwise(call)
    if call is getattr and node.args[1] in _ASKED:
        return Shape(call)
    if call is torch.mean:
        return _mean(node, call)
    if call is F.adaptive_avg_pool2d and _is_one(argument(node, 1, "output_size", None)):
        return Mean(call, keepdim=True)
    if call in _MULTIPLYING:
        return Anything(call, sum(_matrix(constants.get(other)) for other in node.all_input_nodes))
    return _sliding(node, call, constants) or Anything(call)


def _sliding(node: fx.Node, call: Callable[..., Any], constants: Mapping[fx.Node, Any]) -> Rule | None:
    """The rule of a function that slides a kernel over the map, all other things it is given being constant."""
    names = {F.conv2d: _CONVOLUTION, F.max_pool2d: _MAXIMUM, torch.max_pool2d: _MAXIMUM, F.avg_pool2d: _AVERAGE}.get(
        call
    )
    if names is None or not _only_first(node, constants):
        return None
    given = dict(zip(names, node.args, strict=False)) | node.kwargs
    rest: dict[str, Any] = fx.node.map_arg(
        {name: value for name, value in given.items() if name != "input"}, constants.__getitem__
    )

    def on(maps: torch.Tensor, *_: Any, **__: Any) -> Any:
        return call(maps, **rest)

    stride, padding = rest.get("stride"), rest.get("padding", 0)
    if call is F.conv2d:
        bias, dilation, groups = rest.get("bias"), rest.get("dilation", 1), rest.get("groups", 1)
        return convolving(convolution(rest["weight"], bias, stride or 1, padding, dilation, groups))
    ceil = bool(rest.get("ceil_mode", False))
    if call is F.avg_pool2d:
        return average(on, (rest["kernel_size"], stride, padding, 1), ceil)
    if rest.get("return_indices"):
        return None
    return maximum(on, (rest["kernel_size"], stride, padding, rest.get("dilation", 1)), ceil)


def _mean(node: fx.Node, call: Callable[..., Any]) -> Rule:
    """A mean over both axes of a map is known; any other is not."""
    axes = argument(node, 1, "dim", None)
    keepdim = argument(node, 2, "keepdim", False)
    over_maps = isinstance(axes, list | tuple) and {axis % 4 for axis in axes if isinstance(axis, int)} == {2, 3}
    if over_maps and isinstance(keepdim, bool) and not set(node.kwargs) - {"dim", "keepdim"}:
        return Mean(call, keepdim)
    return Anything(call)


def _uniform(node: fx.Node, constants: Mapping[fx.Node, Any]) -> bool:
    """Whether what else is given is the same at every cell of a map."""
    others = [constants[other] for other in node.all_input_nodes if other in constants]
    return all(not isinstance(other, torch.Tensor) or _flat(other) for other in others)


def _takes_constants(node: fx.Node, constants: Mapping[fx.Node, Any]) -> bool:
    return any(other in constants for other in node.all_input_nodes)


def _flat(constant: torch.Tensor) -> bool:
    return constant.numel() == 1 or (constant.ndim >= 2 and tuple(constant.shape[-2:]) == (1, 1))


def _only_first(node: fx.Node, constants: Mapping[fx.Node, Any]) -> bool:
    """Whether a map comes first, and all else is constant."""
    if not node.args or not isinstance(node.args[0], fx.Node) or node.args[0] in constants:
        return False
    return all(other in constants for other in node.all_input_nodes if other is not node.args[0])


def _matrix(weight: Any) -> int:
    """How many weights there are, of those that multiply and are not added."""
    return weight.numel() if isinstance(weight, torch.Tensor) and weight.ndim > 1 else 0


def _is_one(size: Any) -> bool:
    return size == 1 or (isinstance(size, tuple | list) and tuple(size) in ((1,), (1, 1)))
