"""Keras's convolutions, with the activation that may be part of them, as modules of torch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sightline.models.from_keras.padding import SamePadding, symmetric

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "silu": nn.SiLU, "swish": nn.SiLU,
    "elu": nn.ELU, "selu": nn.SELU, "softplus": nn.Softplus, "hard_sigmoid": nn.Hardsigmoid,
    "hard_silu": nn.Hardswish, "hard_swish": nn.Hardswish, "mish": nn.Mish, "linear": nn.Identity,
}  # fmt: skip


def activation_of(function: Any, rank: int) -> nn.Module | None:
    """The module of an activation, or None where none is known."""
    name = getattr(function, "__name__", type(function).__name__).lower()
    if not str(getattr(function, "__module__", "")).startswith("keras."):
        return None  # a function of the user's own with a known name
    if name == "softmax":
        return nn.Softmax(1 if rank == 4 else -1)
    if name == "gelu":
        return nn.GELU()
    return _ACTIVATIONS[name]() if name in _ACTIVATIONS else None


def view(variable: Any, *axes: int) -> nn.Parameter:
    """A variable's own numbers, with their axes turned; no copy."""
    tensor = variable.value.detach()
    return nn.Parameter(tensor.permute(axes) if axes else tensor, requires_grad=False)


def with_activation(layer: Any, parts: dict[str, nn.Module], rank: int) -> nn.Module | None:
    after = activation_of(layer.activation, rank)
    if after is None:
        return None
    if not isinstance(after, nn.Identity):
        parts["activation"] = after
    return next(iter(parts.values())) if len(parts) == 1 else nn.Sequential(OrderedDict(parts))


def _convolution(layer: Any, kernel: nn.Parameter, groups: int, bias: Any = None) -> dict[str, nn.Module]:
    """A padding, where it needs one of its own, and the convolution; `kernel` is out × in × height × width."""
    stride, dilation = pair(layer.strides), pair(layer.dilation_rate)
    size = (kernel.shape[2], kernel.shape[3])
    same = layer.padding == "same"
    pad = symmetric(size, stride, dilation) if same else (0, 0)
    parts: dict[str, nn.Module] = {}
    if pad is None:
        parts["padding"] = SamePadding(size, stride, dilation, "constant")
    with torch.device("meta"):
        conv = nn.Conv2d(kernel.shape[1] * groups, kernel.shape[0], size, stride, pad or (0, 0), dilation, groups,
                         bias=bias is not None)  # fmt: skip
    conv.weight = kernel
    if bias is not None:
        conv.bias = view(bias)
    return parts | {"convolution": conv}


def conv(layer: Any, _: list[int]) -> nn.Module | None:
    if layer.data_format != "channels_last" or getattr(layer, "lora_enabled", False):
        return None
    kernel = view(layer.kernel, 3, 2, 0, 1)
    return with_activation(layer, _convolution(layer, kernel, layer.groups, layer.bias), 4)


def _depthwise_kernel(variable: Any) -> nn.Parameter:
    """height × width × in × multiplier as (in · multiplier) × 1 × height × width."""
    tensor = variable.value.detach()
    flat = tensor.reshape(*tensor.shape[:2], -1).permute(2, 0, 1).unsqueeze(1)
    return nn.Parameter(flat, requires_grad=False)


def depthwise(layer: Any, _: list[int]) -> nn.Module | None:
    if layer.data_format != "channels_last":
        return None
    kernel = _depthwise_kernel(layer.kernel)
    return with_activation(layer, _convolution(layer, kernel, layer.kernel.shape[2], layer.bias), 4)


def separable(layer: Any, _: list[int]) -> nn.Module | None:
    if layer.data_format != "channels_last" or pair(layer.dilation_rate) != (1, 1):
        return None
    parts = _convolution(layer, _depthwise_kernel(layer.depthwise_kernel), layer.depthwise_kernel.shape[2])
    parts = {("depthwise" if name == "convolution" else name): part for name, part in parts.items()}
    kernel = view(layer.pointwise_kernel, 3, 2, 0, 1)
    with torch.device("meta"):
        pointwise = nn.Conv2d(kernel.shape[1], kernel.shape[0], 1, bias=layer.bias is not None)
    pointwise.weight = kernel
    if layer.bias is not None:
        pointwise.bias = view(layer.bias)
    return with_activation(layer, parts | {"pointwise": pointwise}, 4)


def pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
