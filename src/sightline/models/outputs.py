"""From whatever a network returns to scores, one row a picture and one column a class."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from sightline.errors import ModelError
from sightline.types import Scores

_NAMES = ("logits", "scores", "output", "out", "probabilities", "predictions", "probs", "preds")


def scores_of(output: Any, pictures: int) -> Scores:
    """The scores in a network's output: a tensor, an array, the first that fits in a tuple, or the one with a known
    name, else the only one that fits, in a dictionary or object.

    Returns:
        `b k` float32; a network with one number a picture gives `b 1`.

    Raises:
        ModelError: nothing in the output has one row a picture and one column a class, or several things by other names
            do.
    """
    seen, fits, losses = [], dict[str, torch.Tensor](), dict[str, torch.Tensor]()
    for name, candidate in _candidates(output):
        tensor = torch.from_numpy(candidate) if isinstance(candidate, np.ndarray) else candidate
        shape = "×".join(map(str, tensor.shape)) or "one number"
        seen.append(f"{shape} complex numbers" if tensor.is_complex() else shape)
        rows = _rows(tensor, pictures)
        if rows is not None and (not name or name in _NAMES):
            return rows.float()
        if rows is not None and not any(_same(rows, one) for one in fits.values()):
            (fits if tensor.ndim else losses)[name] = rows
    fits = fits or losses  # one number for all is a loss wherever there is something else
    if len(fits) == 1:
        return next(iter(fits.values())).float()
    if fits:
        several = ", ".join(f"{name} {'×'.join(map(str, rows.shape))}" for name, rows in fits.items())
        raise ModelError(f"several parts of the network's output could be its scores ({several}): {_WAY_OUT}")
    found = f"found {', '.join(seen)}" if seen else f"got {type(output).__name__}"
    raise ModelError(f"the network's output holds no scores of {pictures} pictures × classes: {found}; {_WAY_OUT}")


_WAY_OUT = "sightline.wrap(network, output=…) says where they are, scores=… how they are made of it"


def _rows(tensor: torch.Tensor, pictures: int) -> torch.Tensor | None:
    """A tensor as one row a picture, where it can be read so."""
    if tensor.is_complex():
        return None
    if tensor.ndim == 0 and pictures == 1:
        tensor = tensor.reshape(1)
    if tensor.ndim == 1 and len(tensor) == pictures:
        tensor = tensor[:, None]
    if tensor.ndim > 2 and all(size == 1 for size in tensor.shape[2:]):
        tensor = tensor.flatten(1)
    return tensor if tensor.ndim == 2 and len(tensor) == pictures else None


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether these are the same numbers under two names."""
    return one.shape == other.shape and one.data_ptr() == other.data_ptr()


def _candidates(output: Any) -> Iterator[tuple[str, torch.Tensor | np.ndarray]]:
    """Tensors in the output with their names, if they have any, the likeliest first: by known name, then in order."""
    if isinstance(output, torch.Tensor | np.ndarray):
        yield "", output
        return
    for name in _NAMES:
        value = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(value, torch.Tensor | np.ndarray):
            yield name, value
    if dataclasses.is_dataclass(output) and not isinstance(output, Mapping):
        yield from _tensors((one.name, getattr(output, one.name)) for one in dataclasses.fields(output))
    elif isinstance(output, Mapping):
        yield from _tensors((str(name), value) for name, value in output.items())
    elif isinstance(output, tuple | list):
        for part in output:
            yield from _candidates(part)


def _tensors(values: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, torch.Tensor | np.ndarray]]:
    return ((name, value) for name, value in values if isinstance(value, torch.Tensor | np.ndarray))
