"""What a network computed between the picture and the score, read from autograd's own record of one pass.

A rule that changes how gradients pass a non-linearity is right only where everything else on the way is known: sums,
linear maps, views. The record holds every operation, whoever called it and however it was written, so that what a rule
does not know can be refused by name and never passes for linear.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import torch

SUMS_AND_VIEWS = frozenset({
    "Add", "Sub", "Rsub", "Neg", "Sum", "Mean", "Cumsum", "View", "ViewAs", "Reshape", "ReshapeAlias", "UnsafeView",
    "Flatten", "Unflatten", "Transpose", "T", "Permute", "Movedim", "Squeeze", "Unsqueeze", "Expand", "Repeat",
    "Slice", "Select", "Narrow", "Index", "IndexSelect", "Gather", "Take", "Cat", "Stack", "Split",
    "SplitWithSizes", "UnsafeSplit", "Unbind", "Clone", "ToCopy", "Copy", "CopyBackwards", "CopySlices", "Alias",
    "AsStrided", "AsStridedScatter", "SliceScatter", "SelectScatter", "Contiguous", "ConstantPadNd",
    "ReflectionPad1D", "ReflectionPad2D", "ReplicationPad1D", "ReplicationPad2D", "Roll", "Flip", "PixelShuffle",
    "PixelUnshuffle", "ChannelShuffle", "NativeChannelShuffle", "AvgPool1D", "AvgPool2D", "AvgPool3D",
    "AdaptiveAvgPool1D", "AdaptiveAvgPool2D", "AdaptiveAvgPool3D", "MkldnnAdaptiveAvgPool2D", "UpsampleNearest2D",
    "UpsampleBilinear2D", "UpsampleBicubic2D", "Im2Col", "Col2Im", "AccumulateGrad", "PlainNorm",
})  # fmt: skip
"""Linear in all that they are given together."""

PRODUCTS = frozenset({
    "Mul", "Div", "Mm", "Bmm", "Mv", "Dot", "Addmm", "Addmv", "Addbmm", "Baddbmm", "Addcmul", "Linear", "Matmul",
    "Convolution", "ConvolutionOverrideable", "MkldnnConvolution", "CudnnConvolution", "SlowConv2D", "ThnnConv2D",
    "ConvDepthwise2D", "MkldnnLinear", "RoundedConvolution", "RoundedLinear",
})  # fmt: skip
"""Linear where only one of the factors comes from the picture (a divisor never does)."""

BATCH_NORMS = frozenset({"NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"})
"""Linear where they use the statistics that they have stored."""

POOLS = frozenset({
    "MaxPool2DWithIndices", "MaxPool3DWithIndices", "MkldnnMaxPool2D", "AdaptiveMaxPool2D", "AdaptiveMaxPool3D",
    "Max", "Amax",
})  # fmt: skip
"""Hand on the largest of some values."""

NORMS = BATCH_NORMS | {"NativeLayerNorm", "NativeGroupNorm", "FusedRmsNorm"}
"""Divide by a statistic of the picture itself."""


def on_the_way(score: torch.Tensor, leaf: torch.Tensor) -> list[Any]:
    """The operations between a leaf, or a tensor inside a network, and a score, as autograd's nodes."""
    nodes = list(_nodes(score))
    start = leaf.grad_fn
    reached = {node for node in nodes if node is start or getattr(node, "variable", None) is leaf}
    # From the leaf towards the score: a node lies on the way if one that it was given does.
    for node in reversed(nodes):
        if any(before in reached for before, _ in node.next_functions):
            reached.add(node)
    return [node for node in nodes if node in reached and node is not start]


def name_of(node: Any) -> str:
    """`ConvolutionBackward0` is `Convolution`."""
    return re.sub(r"Backward\d*$", "", node.name().rpartition("::")[2])


def not_linear(nodes: list[Any], known: Collection[str]) -> Counter[str]:
    """How often each operation that is neither linear nor `known` stands on the way; a product of two parts counts."""
    reached = set(nodes)
    found: Counter[str] = Counter()
    for node in nodes:
        name = name_of(node)
        if name in known or name in SUMS_AND_VIEWS:
            continue
        if name in PRODUCTS:
            factors = [place for place, (before, _) in enumerate(node.next_functions) if before in reached]
            if len(factors) > 1:
                found["a product of two parts of the network"] += 1
            elif name == "Div" and factors == [1]:
                found["a division by a part of the network"] += 1
        elif name not in BATCH_NORMS or node._saved_training:
            found[words_for(name)] += 1
    return found


def _nodes(score: torch.Tensor) -> Iterator[Any]:
    """All nodes behind a tensor, each after every node that uses it."""
    last: Any = score.grad_fn
    uses: Counter[Any] = Counter()
    seen, waiting = {last}, [last]
    while waiting:
        for before, _ in waiting.pop().next_functions:
            if before is None:
                continue
            uses[before] += 1
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    ready = [last]
    while ready:
        node = ready.pop()
        yield node
        for before, _ in node.next_functions:
            if before is not None:
                uses[before] -= 1
                if not uses[before]:
                    ready.append(before)


def words_for(name: str) -> str:
    """`HardSwish` is `hard-swish`, `MaxPool2DWithIndices` is `max-pool2d`; attention has many forms."""
    if "Attention" in name:
        return "attention"
    plain = name.removeprefix("Native").removesuffix("WithIndices").replace("2D", "2d").replace("3D", "3d")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", plain).lower()
