"""Keras's mixed precision: weights in float32, sums in float16 or bfloat16. The model in float32 is explained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


def rounded_numbers(model: Any) -> str | None:
    """What a model's layers compute in where that is less than their weights are; None where it is not."""
    return next((str(layer.compute_dtype) for layer in _mixed(model)), None)


@contextmanager
def in_full(model: Any) -> Iterator[None]:
    """Inside, every layer computes in the numbers of its weights; the policies are the user's and are put back."""
    with ExitStack() as undo:
        for layer in _mixed(model):
            undo.callback(setattr, layer, "dtype_policy", layer.dtype_policy)
            layer.dtype_policy = str(layer.variable_dtype)
        yield


def _mixed(model: Any) -> list[Any]:
    layers = model._flatten_layers() if hasattr(model, "_flatten_layers") else []
    return [layer for layer in layers if layer.compute_dtype != layer.variable_dtype and not _quantised(layer)]


def _quantised(layer: Any) -> bool:
    return getattr(layer, "quantization_mode", None) is not None
