"""Where the object is: booleans, boxes, polygons, or a black and white picture, in the frame of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import UsageError
from sightline.evaluation.mask_pictures import mask_of_picture
from sightline.images.arrays import is_tensor
from sightline.images.load import Picture, load

_BLACK = (0, 0, 0)
_BOX = "(left, top, right, bottom)"


@dataclass(frozen=True)
class Boxes:
    """Several objects of one picture, or parts of one, by boxes.

    Attributes:
        boxes: (left, top, right, bottom) each, in pixels of the upright picture, right and bottom excluded.
    """

    boxes: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Polygons:
    """Several objects of one picture, or parts of one, by their outlines.

    Attributes:
        polygons: corners (x, y) each, in pixels of the upright picture; the middle of the first pixel is (0.5, 0.5).
    """

    polygons: Sequence[Sequence[tuple[float, float]]]


def masks_for(mask: Any, count: int) -> list[Any]:
    """One mask for each of `count` maps: the same for all, or the members of a list.

    Raises:
        UsageError: a list of another length.
    """
    if not isinstance(mask, list | tuple) or _is_box(mask) or _is_polygon(mask):
        return [mask] * count
    if len(mask) != count:
        raise UsageError(f"{len(mask)} masks for {count} maps: give one for all, or one a map")
    return list(mask)


def as_mask(given: Any, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """`H W` booleans of the upright picture, True on the object.

    Args:
        given: booleans `H W` (or numbers of which 0 is the background and one other is the object); a box (left, top,
            right, bottom) in pixels of the picture, right and bottom excluded; a polygon, at least three corners
            (x, y); `Boxes` or `Polygons`; a path, the bytes, or a Pillow image of a picture that is white (at least
            half bright), or coloured, on the object; or None.
        size: (height, width) of the picture.

    Raises:
        UsageError: another size than the picture's, a box that is empty or leaves the picture, more than two values,
            a picture that is no mask (`mask_pictures`).
        PictureError: a mask picture that cannot be read.
    """
    if given is None:
        return None
    if isinstance(given, Boxes) or _is_box(given):
        return np.logical_or.reduce([_from_box(box, size) for box in as_boxes(given)])
    if isinstance(given, Polygons) or _is_polygon(given):
        outlines = given.polygons if isinstance(given, Polygons) else [given]
        return np.logical_or.reduce([_from_polygon(outline, size) for outline in outlines])
    if is_tensor(given):
        given = given.detach().cpu().numpy()
    if isinstance(given, str | Path | bytes | Image.Image | Picture):
        mask = mask_of_picture(load(given, background=_BLACK))
    elif isinstance(given, np.ndarray):
        mask = _from_array(given)
    else:
        raise UsageError(
            f"a mask is a boolean array, a box {_BOX}, a polygon of corners (x, y), Boxes, Polygons, or a picture, got "
            f"{type(given).__name__}"
        )
    if mask.shape != size:
        came = " × ".join(map(str, mask.shape))
        raise UsageError(
            f"a mask of {came} came for a picture of {size[0]} × {size[1]} (height × width): give it in the size of "
            "the upright picture"
        )
    return mask


def as_boxes(given: Any) -> list[list[float]]:
    """The boxes that truth was given as, or none.

    Raises:
        UsageError: no box in `Boxes`, or one that is not four numbers.
    """
    boxes = list(given.boxes) if isinstance(given, Boxes) else [given] if _is_box(given) else []
    if isinstance(given, Boxes) and not (boxes and all(map(_is_box, map(tuple, boxes)))):
        raise UsageError(f"Boxes holds at least one box {_BOX}, got {given.boxes!r:.80}")
    return [[float(number) for number in box] for box in boxes]


def _is_polygon(given: Any) -> TypeGuard[Any]:
    """At least three corners (x, y)."""
    if isinstance(given, np.ndarray):
        return given.ndim == 2 and given.shape[1] == 2 and len(given) > 2 and given.dtype.kind in "fiu"
    return isinstance(given, list | tuple) and len(given) > 2 and all(_is_corner(corner) for corner in given)


def _is_corner(given: Any) -> bool:
    pair = isinstance(given, list | tuple | np.ndarray) and len(given) == 2
    return pair and all(isinstance(number, Real) for number in given)


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


def _from_polygon(outline: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """True where the centre of a pixel lies inside: a ray to the left crosses the outline an odd number of times."""
    if not _is_polygon(outline):
        raise UsageError(f"a polygon is at least three corners (x, y), got {outline!r:.80}")
    corners = np.asarray(outline, np.float64)
    if not np.isfinite(corners).all():
        raise UsageError("a polygon has a corner that is NaN or infinite")
    inside, columns = np.zeros(size, bool), np.arange(size[1]) + 0.5
    for (x, y), (other_x, other_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        first, last = (int(row) for row in np.ceil(np.clip(sorted((y, other_y)), 0, size[0]) - 0.5))
        rows = np.arange(first, last) + 0.5
        if len(rows):
            crossing = x + (rows - y) * (other_x - x) / (other_y - y)
            inside[first:last] ^= columns[None] >= crossing[:, None]
    return inside


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
