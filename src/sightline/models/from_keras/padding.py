"""What Keras pads with `padding="same"`: as much as keeps a side at ⌈side / stride⌉, the odd pixel at the end.

How much that is depends on the size of the input where the stride is not 1, so it is found in every pass.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

Pair = tuple[int, int]


class SamePadding(nn.Module):
    """Pads `b c h w` for the convolution or pooling that follows, as Keras's torch backend does."""

    def __init__(self, kernel: Pair, stride: Pair, dilation: Pair, mode: Literal["constant", "replicate"]) -> None:
        super().__init__()
        self.kernel, self.stride, self.dilation, self.mode = kernel, stride, dilation, mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = (self._of(side, x.shape[2 + side]) for side in (0, 1))
        pad = (*columns, *rows)
        return functional.pad(x, pad, mode=self.mode) if any(pad) else x

    def _of(self, side: int, length: int) -> Pair:
        kernel, stride, dilation = self.kernel[side], self.stride[side], self.dilation[side]
        total = max(0, ((length + stride - 1) // stride - 1) * stride + (kernel - 1) * dilation + 1 - length)
        return total // 2, total - total // 2


def symmetric(kernel: Pair, stride: Pair, dilation: Pair) -> Pair | None:
    """The padding on either side where it is the same for every size of input; else None."""
    spans = [(size - 1) * step for size, step in zip(kernel, dilation, strict=True)]
    if stride != (1, 1) or any(span % 2 for span in spans):
        return None
    return spans[0] // 2, spans[1] // 2


class SamePool(nn.Module):
    """Pooling over windows that reach over the edge.

    Keras's torch backend repeats the edge where the two sides of the padding differ, and leaves the padding out of the
    window where they are the same; which of them depends on the size of the input.
    """

    def __init__(self, kind: Literal["largest", "mean"], kernel: Pair, stride: Pair) -> None:
        super().__init__()
        self.kind, self.kernel, self.stride = kind, kernel, stride
        self.padding = SamePadding(kernel, stride, (1, 1), "replicate")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sides = [self.padding._of(side, x.shape[2 + side]) for side in (0, 1)]
        inside = all(low == high for low, high in sides)
        given, pad = (x, (sides[0][0], sides[1][0])) if inside else (self.padding(x), (0, 0))
        if self.kind == "largest":
            return functional.max_pool2d(given, self.kernel, self.stride, pad)
        return functional.avg_pool2d(given, self.kernel, self.stride, pad, count_include_pad=False)
