"""One Keras layer as one module of torch that works on `b c h w`; names and numbers are the layer's own.

Weights are views of the layer's own variables, turned round as torch keeps them: what is assigned to a variable later
holds here, too. A layer that is not known here is asked itself (`graph.Foreign`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sightline.models.from_keras.attention import attention
from sightline.models.from_keras.convolutions import (
    activation_of,
    conv,
    depthwise,
    pair,
    separable,
    view,
    with_activation,
)
from sightline.models.from_keras.padding import SamePool, symmetric
from sightline.models.from_keras.small import Affine, Joined, OnLastAxis, Reshaped, Rows, Scaled

IDENTITIES = (
    "InputLayer", "Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise", "Identity",
    "ActivityRegularization", "StochasticDepth", "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation",
    "RandomContrast", "RandomBrightness", "RandomShear", "RandomHue", "RandomSaturation", "RandomSharpness",
    "RandomGrayscale", "RandomInvert", "RandomErasing", "RandomPerspective", "RandomGaussianBlur",
)  # fmt: skip
"""What does nothing to a picture that is only looked at."""

_OPERATIONS = ("Add", "Subtract", "Multiply")
"""Of `keras.ops`, which are no layers."""


def module_of(layer: Any, ranks: list[int]) -> nn.Module | None:
    """A module that does what the layer does in evaluation, or None where none is known.

    Args:
        layer: of Keras, built, channels last.
        ranks: how many axes each of the tensors has that it is given.
    """
    kind = type(layer).__name__
    if not type(layer).__module__.startswith("keras.") or not (isinstance(layer, nn.Module) or kind in _OPERATIONS):
        return None
    if kind in IDENTITIES:
        return nn.Identity()
    make = _MAKERS.get(kind)
    return None if make is None else make(layer, ranks)


def _dense(layer: Any, ranks: list[int]) -> nn.Module | None:
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
        return None
    kernel = view(layer.kernel, 1, 0)
    with torch.device("meta"):
        linear = nn.Linear(kernel.shape[1], kernel.shape[0], bias=layer.bias is not None)
    linear.weight = kernel
    if layer.bias is not None:
        linear.bias = view(layer.bias)
    return with_activation(layer, {"linear": OnLastAxis(linear) if ranks[0] == 4 else linear}, ranks[0])


def _batch_norm(layer: Any, ranks: list[int]) -> nn.Module | None:
    last = ranks[0] - 1
    if layer.axis not in (-1, last) or ranks[0] not in (2, 4) or type(layer).__name__ != "BatchNormalization":
        return None
    with torch.device("meta"):
        norm = (nn.BatchNorm2d if ranks[0] == 4 else nn.BatchNorm1d)(layer.moving_mean.shape[0], eps=layer.epsilon)
    norm.weight = view(layer.gamma) if layer.gamma is not None else nn.Parameter(torch.ones(layer.moving_mean.shape[0]))
    norm.bias = view(layer.beta) if layer.beta is not None else nn.Parameter(torch.zeros(layer.moving_mean.shape[0]))
    norm.running_mean = layer.moving_mean.value.detach()
    norm.running_var = layer.moving_variance.value.detach()
    norm.num_batches_tracked = torch.tensor(0)
    norm.weight.requires_grad_(False)
    norm.bias.requires_grad_(False)
    return norm


def _layer_norm(layer: Any, ranks: list[int]) -> nn.Module | None:
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if axes not in ([-1], [ranks[0] - 1]) or getattr(layer, "rms_scaling", False) or layer.gamma is None:
        return None
    with torch.device("meta"):
        norm = nn.LayerNorm(layer.gamma.shape[0], eps=layer.epsilon, bias=layer.beta is not None)
    norm.weight = view(layer.gamma)
    if layer.beta is not None:
        norm.bias = view(layer.beta)
    return OnLastAxis(norm) if ranks[0] == 4 else norm


def _pool(layer: Any, _: list[int]) -> nn.Module | None:
    if layer.data_format != "channels_last":
        return None
    size, stride = pair(layer.pool_size), pair(layer.strides or layer.pool_size)
    largest = type(layer).__name__.startswith("Max")
    if layer.padding == "valid":
        return nn.MaxPool2d(size, stride) if largest else nn.AvgPool2d(size, stride)
    pad = symmetric(size, stride, (1, 1))
    if pad is None:
        return SamePool("largest" if largest else "mean", size, stride)
    return nn.MaxPool2d(size, stride, pad) if largest else nn.AvgPool2d(size, stride, pad, count_include_pad=False)


def _global_pool(layer: Any, _: list[int]) -> nn.Module | None:
    if layer.data_format != "channels_last":
        return None
    pool = nn.AdaptiveAvgPool2d(1) if "Average" in type(layer).__name__ else nn.AdaptiveMaxPool2d(1)
    return pool if layer.keepdims else nn.Sequential(OrderedDict(pool=pool, flatten=nn.Flatten()))


def _zero_padding(layer: Any, _: list[int]) -> nn.Module | None:
    if layer.data_format != "channels_last":
        return None
    (top, bottom), (left, right) = layer.padding
    return nn.ZeroPad2d((left, right, top, bottom))


def _cropping(layer: Any, _: list[int]) -> nn.Module | None:
    if layer.data_format != "channels_last":
        return None
    (top, bottom), (left, right) = layer.cropping
    return nn.ZeroPad2d((-left, -right, -top, -bottom))


def _relu(layer: Any, _: list[int]) -> nn.Module | None:
    if layer.threshold or layer.negative_slope:
        return None
    if layer.max_value is None:
        return nn.ReLU()
    return nn.ReLU6() if layer.max_value == 6 else nn.Hardtanh(0.0, float(layer.max_value))


def _joined(layer: Any, ranks: list[int]) -> nn.Module | None:
    kind = type(layer).__name__.lower()
    if kind == "concatenate":
        axis = layer.axis if layer.axis >= 0 else layer.axis + ranks[0]
        return Joined(kind, {0: 0, 1: 2, 2: 3, 3: 1}[axis] if ranks[0] == 4 else axis)
    # Tensors of different ranks are put together along other axes than here.
    return Joined(kind) if len(set(ranks)) == 1 else None


def _rescaling(layer: Any, ranks: list[int]) -> nn.Module | None:
    scale, offset = (torch.as_tensor(value, dtype=torch.float32).cpu() for value in (layer.scale, layer.offset))
    return Scaled(scale, offset, ranks[0])


def _normalization(layer: Any, ranks: list[int]) -> nn.Module | None:
    if layer.invert or ranks[0] != 4 or tuple(layer.axis or ()) not in ((-1,), (3,), ()):
        return None
    mean, variance = (torch.as_tensor(value).detach().float().flatten() for value in (layer.mean, layer.variance))
    deviation = variance.sqrt().clamp_min(1e-7)
    return Scaled(1 / deviation, -mean / deviation, ranks[0])


def _layer_scale(layer: Any, ranks: list[int]) -> nn.Module | None:
    return Affine(view(layer.gamma), ranks[0])


_MAKERS: dict[str, Callable[[Any, list[int]], nn.Module | None]] = {
    "Conv2D": conv,
    "DepthwiseConv2D": depthwise,
    "SeparableConv2D": separable,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"), _pool),
    **dict.fromkeys(("GlobalAveragePooling2D", "GlobalMaxPooling2D"), _global_pool),
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _cropping,
    "Activation": lambda layer, ranks: activation_of(layer.activation, ranks[0]),
    "Softmax": lambda layer, ranks: (
        nn.Softmax(1 if ranks[0] == 4 else -1) if layer.axis in (-1, ranks[0] - 1) else None
    ),
    "ReLU": _relu,
    "LeakyReLU": lambda layer, _: nn.LeakyReLU(float(layer.negative_slope)),
    "ELU": lambda layer, _: nn.ELU(float(layer.alpha)),
    "Flatten": lambda layer, _: Rows() if layer.data_format == "channels_last" else None,
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"), _joined),
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "LayerScale": _layer_scale,
    "MultiHeadAttention": attention,
    "Reshape": lambda layer, _: Reshaped(tuple(layer.target_shape)),
}
