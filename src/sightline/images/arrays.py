"""Pixels that come as arrays or tensors: which axis is what, and what is refused because it could be either."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeGuard

import numpy as np

from sightline.errors import PictureError

Array: TypeAlias = np.ndarray[Any, Any]


def is_array(source: object) -> TypeGuard[Array]:
    """Whether `source` is a numpy array."""
    return isinstance(source, np.ndarray)


def is_tensor(source: object) -> bool:
    """Whether `source` is a torch tensor, found without importing torch."""
    return any(f"{cls.__module__}.{cls.__name__}" == "torch.Tensor" for cls in type(source).__mro__)


def array_to_rgb(source: Any) -> tuple[Array, str]:
    """uint8 pixels as `h w`, `h w 3` or `h w 4`, and a name for messages.

    Raises:
        PictureError: kind `shape`: not uint8, not one picture, or as well `h w c` as `c h w`.
    """
    tensor = is_tensor(source)
    values: Array = source.detach().cpu().numpy() if tensor else source
    shape = " × ".join(map(str, values.shape))
    name = f"{'tensor' if tensor else 'array'} {shape}"
    if values.dtype != np.uint8:
        hint = "uint8 pixels (0…255), or floating point that is already prepared for the network"
        raise PictureError("shape", name, f"has values of type {values.dtype}; give {hint}")
    if 0 in values.shape:
        raise PictureError("empty", name, "has no pixels")
    if tensor and values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 2:
        return values, name
    expected = "c h w" if tensor else "h w c"
    if values.ndim != 3:
        raise PictureError("shape", name, f"is not one picture; expected {expected} or h w")
    _check_axes(values.shape, tensor, name, expected)
    values = values.transpose(1, 2, 0) if tensor else values
    return (values[:, :, 0] if values.shape[2] == 1 else values), name


def _check_axes(shape: tuple[int, ...], tensor: bool, name: str, expected: str) -> None:
    declared, opposite = (shape[0], shape[2]) if tensor else (shape[2], shape[0])
    if (opposite == 3 and declared in (3, 4)) or (opposite == declared == 4):
        raise PictureError("shape", name, "could be h w c as well as c h w; give a Pillow image instead")
    if declared in (1, 3, 4):
        return
    if opposite in (1, 3, 4):
        order = "tensor.permute(2, 0, 1)" if tensor else "array.transpose(1, 2, 0)"
        raise PictureError(
            "shape", name, f"looks like {'h w c' if tensor else 'c h w'}, expected {expected}: use {order}"
        )
    raise PictureError("shape", name, f"has no axis of 1, 3 or 4 channels where {expected} has it")
