"""Small modules for what Keras has layers for and torch functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
from torch import nn


class OnLastAxis(nn.Module):
    """A module for the last axis, on the channels of `b c h w`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turned: torch.Tensor = self.inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return turned


class Rows(nn.Module):
    """One row a picture, in Keras's order: the channels of a place lie side by side."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).flatten(1)


class Reshaped(nn.Module):
    """Another shape for each picture, in Keras's order."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        plain = (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).reshape(len(x), *self.shape)
        return plain.permute(0, 3, 1, 2) if plain.ndim == 4 else plain


class Joined(nn.Module):
    """Several tensors as one: their sum, difference, product, mean, largest, smallest, or one behind the other."""

    def __init__(self, kind: str, axis: int = 1) -> None:
        super().__init__()
        self.kind, self.axis = kind, axis

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        if self.kind == "concatenate":
            return torch.cat(parts, dim=self.axis)
        if self.kind == "average":
            return reduce(torch.add, parts) / len(parts)
        return reduce(_JOINING[self.kind], parts)


_JOINING: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}


class Scaled(nn.Module):
    """x · scale + offset, numbers or one of each a channel; constants, no weights."""

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, scale: torch.Tensor, offset: torch.Tensor, rank: int) -> None:
        super().__init__()
        shape = (-1, 1, 1) if rank == 4 else (-1,)
        self.register_buffer("scale", scale.reshape(shape), persistent=False)
        self.register_buffer("offset", offset.reshape(shape), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.offset


class Affine(nn.Module):
    """x · weight, one a channel."""

    def __init__(self, weight: nn.Parameter, rank: int) -> None:
        super().__init__()
        self.weight, self.rank = weight, rank

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (self.weight.view(-1, 1, 1) if self.rank == 4 else self.weight)
