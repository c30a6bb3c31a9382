"""Forward in float32, back in bfloat16: what `precision=fast` means where gradients reach the pixels.

A backward pass is linear once it is known on which side of every ReLU each value fell, so rounding it to eight bits
moves a gradient by thousandths and no more. Rounding the forward pass as well puts values on other sides, and the
order of the pixels is lost (docs/decisions/0014). Convolutions and linear layers, where the work is, run back in
bfloat16; what lies between them stays in float32.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional

from sightline.passes.linear import linear
from sightline.passes.turned import PlainNorms, convolution_of, takes


class RoundedBack(PlainNorms):
    """Inside, convolutions and linear layers with frozen weights run back in bfloat16, normalisations as products."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if takes(func, args, kwargs or {}) and rounds_back(args[0].device):
            return RoundedConvolution.apply(*args)
        if _takes_linear(func, args, kwargs or {}) and rounds_back(args[0].device):
            return RoundedLinear.apply(*args)
        return super().__torch_function__(func, types, args, kwargs)


class RoundedConvolution(torch.autograd.Function):
    """`torch.conv2d` in float32 whose gradient at its pixels is made in bfloat16, channels last."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> torch.Tensor:
        ctx.how, ctx.groups = convolution_of(args)
        ctx.shape, ctx.given = args[0].shape, len(args)
        ctx.save_for_backward(args[1])
        return torch.conv2d(*args)

    @staticmethod
    def backward(ctx: Any, *back: torch.Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        turned = back[0].to(torch.bfloat16, memory_format=torch.channels_last)
        # Only the shape of what came in counts for the gradient there.
        pixels = torch.empty(ctx.shape, dtype=turned.dtype, device=turned.device, memory_format=torch.channels_last)
        found = torch.ops.aten.convolution_backward(
            turned, pixels, weight.to(turned.dtype), None, *ctx.how, False, [0, 0], ctx.groups, [True, False, False]
        )[0]
        return found.to(back[0].dtype), *[None] * (ctx.given - 1)


class RoundedLinear(torch.autograd.Function):
    """`functional.linear` in float32 whose gradient at its input is made in bfloat16."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> torch.Tensor:
        ctx.given = len(args)
        ctx.save_for_backward(args[1])
        return linear(*args)

    @staticmethod
    def backward(ctx: Any, *back: torch.Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        found = back[0].to(torch.bfloat16) @ weight.to(torch.bfloat16)
        return found.to(back[0].dtype), *[None] * (ctx.given - 1)


def _takes_linear(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if func is not functional.linear or kwargs:
        return False
    frozen = all(not value.requires_grad for value in args[1:3] if isinstance(value, torch.Tensor))
    return frozen and args[0].dtype == args[1].dtype == torch.float32


def rounds_back(device: torch.device) -> bool:
    """Whether anything runs back in bfloat16 there."""
    return _native(device.type)


@lru_cache(maxsize=4)
def _native(device: str) -> bool:
    """Whether the machine multiplies bfloat16 itself: where it does not, rounding would cost time and save none."""
    if device == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
