"""From whatever a network returns to scores, one row a picture and one column a class."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from sightline.errors import ModelError
from sightline.types import Scores

_NAMES = ("logits", "scores", "output", "out", "probabilities", "predictions")


def scores_of(output: Any, pictures: int) -> Scores:
    """The scores in a network's output: a tensor, an array, or the first fitting one in a tuple, dict or object.

    Returns:
        `b k` float32; a network with one number a picture gives `b 1`.

    Raises:
        ModelError: nothing in the output has one row a picture and one column a class.
    """
    seen = []
    for candidate in _candidates(output):
        tensor = torch.from_numpy(candidate) if isinstance(candidate, np.ndarray) else candidate
        seen.append("×".join(map(str, tensor.shape)) or "one number")
        if tensor.is_complex():
            seen[-1] += " complex numbers"
            continue
        if tensor.ndim == 0 and pictures == 1:
            tensor = tensor.reshape(1)
        if tensor.ndim == 1 and len(tensor) == pictures:
            tensor = tensor[:, None]
        if tensor.ndim > 2 and all(size == 1 for size in tensor.shape[2:]):
            tensor = tensor.flatten(1)
        if tensor.ndim == 2 and len(tensor) == pictures:
            return tensor.float()
    found = f"found {', '.join(seen)}" if seen else f"got {type(output).__name__}"
    raise ModelError(
        f"the network's output holds no scores of {pictures} pictures × classes: {found}; "
        "sightline.wrap(network, output=…) says where they are, scores=… how they are made of it"
    )


def _candidates(output: Any) -> Iterator[torch.Tensor | np.ndarray]:
    """Tensors in the output, the likeliest first: by well-known name, then in order."""
    if isinstance(output, torch.Tensor | np.ndarray):
        yield output
        return
    for name in _NAMES:
        value = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(value, torch.Tensor | np.ndarray):
            yield value
    if dataclasses.is_dataclass(output) and not isinstance(output, Mapping):
        yield from _tensors(getattr(output, one.name) for one in dataclasses.fields(output))
    elif isinstance(output, Mapping):
        yield from _tensors(output.values())
    elif isinstance(output, tuple | list):
        for part in output:
            yield from _candidates(part)


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor | np.ndarray]:
    return (value for value in values if isinstance(value, torch.Tensor | np.ndarray))
