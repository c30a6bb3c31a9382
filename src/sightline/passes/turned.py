"""A convolution that runs forward as given and back channels last, and a normalisation that runs back as a product."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_CONVOLUTION = (None, None, None, 1, 0, 1, 1)  # of torch.conv2d: what its arguments are where they are left out


def takes(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call is a convolution that `TurnedBack` stands for."""
    if func is not torch.conv2d or kwargs or any(isinstance(arg, str) for arg in args):
        return False
    frozen = all(not value.requires_grad for value in args[1:3] if isinstance(value, torch.Tensor))
    return frozen and args[0].dtype == torch.float32


def convolution_of(args: tuple[Any, ...]) -> tuple[list[list[int]], int]:
    """Stride, padding and dilation, two numbers each, and the groups of a call of `torch.conv2d`."""
    how: list[Any] = [*args[3:], *_CONVOLUTION[max(3, len(args)) :]]
    return [[side] * 2 if isinstance(side, int) else list(side) for side in how[:3]], how[3]


class TurnedBack(torch.autograd.Function):
    """`torch.conv2d` of pixels channels last, with weights that are no part of the graph."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> torch.Tensor:
        ctx.how, ctx.groups = convolution_of(args)
        ctx.given = len(args)
        ctx.save_for_backward(*args[:2])
        found = torch.conv2d(args[0].contiguous(), *args[1:])
        return found.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *back: torch.Tensor) -> Any:
        pixels, weight = ctx.saved_tensors
        turned = back[0].contiguous(memory_format=torch.channels_last)
        found = torch.ops.aten.convolution_backward(
            turned, pixels, weight, None, *ctx.how, False, [0, 0], ctx.groups, [True, False, False]
        )[0]
        return found, *[None] * (ctx.given - 1)


def norm(  # noqa: PLR0913, PLR0917 (the list of torch's own function)
    pixels: torch.Tensor,
    mean: torch.Tensor | None,
    variance: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,  # noqa: ARG001 (of no use with stored statistics)
    eps: float = 1e-5,
) -> torch.Tensor | None:
    """`functional.batch_norm` with stored statistics; None where that is not what is asked."""
    if training or mean is None or variance is None or pixels.dtype != torch.float32:
        return None
    if any(value is not None and value.requires_grad for value in (weight, bias)):
        return None
    return PlainNorm.apply(pixels, mean, variance, weight, bias, eps)


class PlainNorm(torch.autograd.Function):
    """(pixels − mean) / √(variance + ε) · weight + bias, channel by channel; torch's own bits."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> torch.Tensor:
        pixels, mean, variance, weight, bias, eps = args
        scale = 1 / (variance + eps).sqrt()
        ctx.save_for_backward(scale if weight is None else scale * weight)
        return functional.batch_norm(pixels, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *back: torch.Tensor) -> Any:
        (scale,) = ctx.saved_tensors
        return back[0] * scale.view(-1, 1, 1), None, None, None, None, None


class PlainNorms(TorchFunctionMode):
    """Inside, normalisations by stored statistics run back as products."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm and (found := norm(*args, **kwargs)) is not None:
            return found
        return func(*args, **kwargs)
