"""Whether what follows a layer has no kinks: then a rounding error in its activations stays one in their gradients.

A ReLU passes a gradient or does not, and which of both can hang on the last digit of an activation near zero. Behind
the last convolutions of most networks there is none: a mean and a linear layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch

# Names of autograd's nodes, all but `Backward0`, of operations that can be differentiated twice everywhere. One that is
# not here is taken to have kinks.
_SMOOTH = frozenset((
    "AccumulateGrad", "Alias", "AsStrided", "Cat", "Clone", "ConstantPadNd", "Copy", "Expand", "Permute",
    "ReshapeAlias", "Roll", "Select", "Slice", "Split", "SplitWithSizes", "Squeeze", "Stack", "T", "ToCopy",
    "Transpose", "Unbind", "UnsafeView", "Unsqueeze", "View",
    "Add", "Addmm", "Baddbmm", "Bmm", "Div", "Erf", "Exp", "Mm", "Mul", "Neg", "Sub", "Mean", "Sum",
    "AdaptiveAvgPool2D", "AvgPool2D", "Convolution", "MkldnnAdaptiveAvgPool2D", "NativeBatchNorm", "NativeLayerNorm",
    "Gelu", "LogSoftmax", "SafeSoftmax", "Sigmoid", "Silu", "Softmax", "Tanh",
    "ScaledDotProductCudnnAttention", "ScaledDotProductEfficientAttention", "ScaledDotProductFlashAttention",
    "ScaledDotProductFlashAttentionForCpu", "ScaledDotProductFusedAttentionOverrideable",
))  # fmt: skip


def smooth_behind(scores: torch.Tensor, begin: Iterable[torch.Tensor]) -> bool:
    """Whether every operation between these tensors, or the leaves of the graph, and the scores is smooth.

    Args:
        scores: with their graph.
        begin: where the walk back ends; where a way leads past them, it goes on to the leaves.
    """
    ends: set[Any] = {tensor.grad_fn for tensor in begin} - {None}
    seen: set[Any] = set()
    nodes: list[Any] = [scores.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen or node in ends:
            continue
        seen.add(node)
        if re.sub(r"^.*::|Backward\d*$", "", node.name()) not in _SMOOTH:
            return False
        nodes += [before for before, _ in node.next_functions]
    return True
