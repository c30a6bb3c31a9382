"""A convolution, and what follows it done in the same go: normalisation, a sum, a ReLU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F

from sightline.passes.windows.tiles import Padding, padded

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution with weights of its own: a normalisation after it is folded into them.

    Attributes:
        relu: whether a ReLU follows, after the sum if there is one.
        packed: the weights as oneDNN wants them, once they are ready on a CPU; the plain ones are gone then.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    relu: bool = False
    packed: torch.Tensor | None = None

    def __call__(self, maps: torch.Tensor, plus: torch.Tensor | None = None, over: bool = False) -> torch.Tensor:
        """On whole maps, and added to others; `over` them where nobody needs those any more."""
        around = self.padding
        if around.top != around.bottom or around.left != around.right:
            return self.slide(padded(maps, around), plus, over)
        return self._run(maps, (around.top, around.left), plus, over)

    def slide(self, maps: torch.Tensor, plus: torch.Tensor | None = None, over: bool = False) -> torch.Tensor:
        """The same on maps that are padded already."""
        return self._run(maps, (0, 0), plus, over)

    def _run(self, maps: torch.Tensor, sides: Pair, plus: torch.Tensor | None, over: bool) -> torch.Tensor:
        maps = maps.to(self.weight.dtype).contiguous(memory_format=torch.channels_last)
        if plus is not None and not self._fits(maps, sides, plus):
            found = replace(self, relu=False)._run(maps, sides, None, False) + plus
            return found.relu_() if self.relu else found
        if self.packed is not None:
            return self._run_packed(maps, self.packed, sides, plus, over)
        found = F.conv2d(maps, self.weight, self.bias, self.stride, sides, self.dilation, self.groups)
        if plus is not None:
            found = found.add_(plus)
        return found.relu_() if self.relu else found

    def _fits(self, maps: torch.Tensor, sides: Pair, plus: torch.Tensor) -> bool:
        """Whether what is added has the very shape and type of the answer."""
        size = [
            (cells + 2 * side - dilation * (kernel - 1) - 1) // stride + 1
            for cells, side, dilation, kernel, stride in zip(
                maps.shape[2:], sides, self.dilation, self.weight.shape[2:], self.stride, strict=True
            )
        ]
        return plus.dtype == maps.dtype and plus.shape == (len(maps), self.weight.shape[0], *size)

    def _run_packed(
        self, maps: torch.Tensor, packed: torch.Tensor, sides: Pair, plus: torch.Tensor | None, over: bool
    ) -> torch.Tensor:
        """By oneDNN's own kernels, which add and cut while an answer is still in the cache."""
        moves = (packed, self.bias, sides, self.stride, self.dilation, self.groups)
        mkldnn, relu = torch.ops.mkldnn, "relu" if self.relu else None
        if plus is None:
            return mkldnn._convolution_pointwise(maps, *moves, relu or "none", [], "")
        summed = plus.contiguous(memory_format=torch.channels_last)
        apart = summed.untyped_storage().data_ptr() != maps.untyped_storage().data_ptr()
        if apart and (over or summed is not plus):
            return mkldnn._convolution_pointwise_.binary(summed, maps, *moves, "add", 1.0, relu, [], "")
        return mkldnn._convolution_pointwise.binary(maps, summed, *moves, "add", 1.0, relu, [], "")

    def scaled(self, scale: torch.Tensor, shift: torch.Tensor) -> Convolution:
        """Followed by y ↦ scale · y + shift, float64, one number a channel."""
        weight = self.weight.double() * scale[:, None, None, None]
        bias = shift if self.bias is None else self.bias.double() * scale + shift
        return replace(self, weight=weight.to(self.weight.dtype), bias=bias.to(self.weight.dtype))

    def with_relu(self) -> Convolution:
        """Followed by a ReLU."""
        return replace(self, relu=True)

    def ready(self, dtype: torch.dtype) -> Convolution:
        """With weights as the kernels want them; the network's own stay as they are."""
        weight = self.weight.to(dtype).contiguous(memory_format=torch.channels_last)
        bias = self.bias.to(dtype) if self.bias is not None else None
        if weight.device.type != "cpu" or not packs(dtype):
            return replace(self, weight=weight, bias=bias)
        sides = (self.padding.top, self.padding.left)
        moves = (sides, self.stride, self.dilation, self.groups)
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *moves, None)
        return replace(self, weight=weight.new_empty(1).expand(weight.shape), bias=bias, packed=packed)


@cache
def packs(dtype: torch.dtype) -> bool:
    """Whether this torch has the kernels that its own compiler uses on a CPU, and they do what is expected here."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    maps = torch.arange(-32.0, 32.0, dtype=dtype).view(1, 4, 4, 4).contiguous(memory_format=torch.channels_last)
    plain = Convolution(torch.ones(4, 4, 1, 1, dtype=dtype), None, (1, 1), Padding(), (1, 1), 1, relu=True)
    try:
        packed = torch.ops.mkldnn._reorder_convolution_weight(plain.weight, (0, 0), (1, 1), (1, 1), 1, None)
        fast = replace(plain, packed=packed)
        return all(map(torch.equal, _three(fast, maps), _three(plain, maps)))
    except (AttributeError, RuntimeError, TypeError):  # not in this torch, or with other arguments
        return False


def _three(call: Convolution, maps: torch.Tensor) -> list[torch.Tensor]:
    """A convolution in its three ways; what it may write over is made anew for each."""
    return [call(maps), call(maps, maps + 1), call(maps, maps + 1, over=True)]


def convolution(
    weight: torch.Tensor, bias: torch.Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Convolution:
    """From what `conv2d` is given."""
    steps = pair(dilation)
    if padding == "valid":
        padding = 0
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(steps, weight.shape[2:], strict=True)]
        around = Padding(total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
    else:
        tall, wide = pair(padding)
        around = Padding(tall, tall, wide, wide)
    return Convolution(weight.detach(), None if bias is None else bias.detach(), pair(stride), around, steps, groups)


def scale_and_shift(
    mean: torch.Tensor, variance: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(y − mean) / √(variance + eps) · weight + bias as scale · y + shift, float64."""
    scale = (variance.detach().double() + eps).rsqrt()
    scale = scale if weight is None else scale * weight.detach().double()
    shift = -mean.detach().double() * scale
    return scale, shift if bias is None else shift + bias.detach().double()


def pair(value: Any) -> Pair:
    """One number for both axes, or one each."""
    if isinstance(value, int):
        return value, value
    first, *rest = (int(part) for part in value)
    return first, rest[0] if rest else first
