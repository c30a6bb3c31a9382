"""Normalisations and softmax, said by sums and products."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx


def norm(_: fx.Node, *args: Any) -> tuple[torch.Tensor, None, None]:
    pixels, weight, bias, mean, variance, training, _momentum, eps = args
    if training or mean is None:
        raise ValueError("a batch normalisation that looks at the batch")
    scale = 1 / torch.sqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return pixels * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1), None, None


def norm_back(_: fx.Node, *args: Any) -> tuple[torch.Tensor, None, None]:
    back, _pixels, weight, _mean, variance, _, _, training, eps, _mask = args
    scale = 1 / torch.sqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    if training:
        raise ValueError("a batch normalisation that looks at the batch")
    return back * scale.view(1, -1, 1, 1), None, None


def layer_norm(_: fx.Node, *args: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    values, shape, weight, bias, eps = args
    axes = list(range(-len(shape), 0))
    mean = values.mean(axes, keepdim=True)
    away = values - mean
    scale = torch.rsqrt((away * away).mean(axes, keepdim=True) + eps)
    found = away * scale if weight is None else away * scale * weight
    return found if bias is None else found + bias, mean, scale


def softmax(_: fx.Node, values: torch.Tensor, axis: int, *__: Any) -> torch.Tensor:
    return torch.softmax(values, axis)
