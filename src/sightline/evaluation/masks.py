"""Where the object is: a mask given as booleans, a box, or a black and white picture, in the frame of the picture."""

from __future__ import annotations

from numbers import Real
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import UsageError
from sightline.images.arrays import is_tensor
from sightline.images.load import Picture, load

_BLACK = (0, 0, 0)
_WHITE_FROM = 128


def masks_for(mask: Any, count: int) -> list[Any]:
    """One mask for each of `count` maps: the same for all, or the members of a list.

    Raises:
        UsageError: a list of another length.
    """
    if not isinstance(mask, list | tuple) or _is_box(mask):
        return [mask] * count
    if len(mask) != count:
        raise UsageError(f"{len(mask)} masks for {count} maps: give one for all, or one a map")
    return list(mask)


def as_mask(given: Any, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """`H W` booleans of the upright picture, True on the object.

    Args:
        given: booleans `H W` (or numbers of which 0 is the background and one other is the object); a box (left, top,
            right, bottom) in pixels of the picture, right and bottom excluded; a path, the bytes, or a Pillow image of
            a picture that is white (at least half bright) on the object; or None.
        size: (height, width) of the picture.

    Raises:
        UsageError: another size than the picture's, a box that is empty or leaves the picture, more than two values.
        PictureError: a mask picture that cannot be read.
    """
    if given is None:
        return None
    if _is_box(given):
        return _from_box([float(number) for number in given], size)
    if is_tensor(given):
        given = given.detach().cpu().numpy()
    if isinstance(given, str | Path | bytes | Image.Image | Picture):
        mask = _from_picture(given)
    elif isinstance(given, np.ndarray):
        mask = _from_array(given)
    else:
        raise UsageError(
            f"a mask is a boolean array, a box (left, top, right, bottom), or a picture, got {type(given).__name__}"
        )
    if mask.shape != size:
        came = " × ".join(map(str, mask.shape))
        raise UsageError(
            f"a mask of {came} came for a picture of {size[0]} × {size[1]} (height × width): give it in the size of "
            "the upright picture"
        )
    return mask


def _is_box(given: Any) -> TypeGuard[Any]:
    if isinstance(given, np.ndarray):
        return given.shape == (4,)
    return isinstance(given, list | tuple) and len(given) == 4 and all(isinstance(number, Real) for number in given)


def _from_box(box: list[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """True where the centre of a pixel lies in the box; corners are the edges between pixels."""
    left, top, right, bottom = box
    height, width = size
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        came = ", ".join(f"{number:g}" for number in box)
        raise UsageError(
            f"the box ({came}) does not fit: a box is (left, top, right, bottom) in pixels of the picture, which is "
            f"{width} wide and {height} high"
        )
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    return ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))[None, :]


def _from_picture(given: str | Path | bytes | Image.Image | Picture) -> NDArray[np.bool_]:
    picture = load(given, background=_BLACK)
    bright = np.asarray(picture.rgb).max(axis=2)
    if bright.max() < _WHITE_FROM:
        raise UsageError(
            f"the mask {picture.name} has no bright pixel (its brightest is {bright.max()} of 255): a mask picture is "
            "white on the object; if its numbers are classes, give an array such as `classes == 8`"
        )
    return bright >= _WHITE_FROM


def _from_array(given: NDArray) -> NDArray[np.bool_]:
    if given.dtype == bool:
        return given
    others = np.unique(given[given != 0]) if given.dtype.kind in "iuf" else given.ravel()
    if len(others) > 1 or given.dtype.kind not in "iuf" or not np.isfinite(others).all():
        raise UsageError(
            f"a mask of {given.dtype} with more than two values came: give booleans, such as `mask > 0.5` or "
            "`classes == 8`"
        )
    return given != 0
