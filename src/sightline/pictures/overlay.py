"""A map in colours, alone or over its picture. Arrays in, arrays out; a map has the height and width of its picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import UsageError
from sightline.pictures.scale import Scale, normalise, strength
from sightline.pictures.style import PLAIN, Style

UNSEEN = "hatched: the network never saw this part"
UNSEEN_GREY = 128
UNSEEN_COVER = 0.6
PALE = 0.45
"""How much white is mixed into the grey picture under a fine map."""


def heat(values: NDArray, style: Style = PLAIN, scale: Scale | None = None) -> NDArray[np.uint8]:
    """The map `h w` in colours, `h w 3` of bytes. Without a scale, the map's own."""
    scale = scale or style.scale(values)
    return style.table(scale)[_rows(normalise(values, scale))]


def overlay(
    picture: NDArray | Image.Image,
    values: NDArray,
    style: Style = PLAIN,
    scale: Scale | None = None,
    seen: NDArray | None = None,
) -> NDArray[np.uint8]:
    """The map `h w` over its picture `h w 3` of bytes, as `h w 3` of bytes.

    `seen` `h w`, true where the network looked: the rest is greyed and hatched, whatever the map holds there.
    Raises `UsageError` where shapes differ, `NonFiniteError` for NaN or infinity.
    """
    under = as_picture(picture)
    check_fits(under, values, seen)
    style = style.settled(values if seen is None else np.where(seen, values, 0))
    if style.blend == "grey":
        under = pale_grey(under)
    layer = heat_layer(values, style, scale, seen)
    over = composite(under, layer, style.alpha)
    return over if seen is None else composite(over, unseen_layer(seen))


def heat_layer(
    values: NDArray,
    style: Style = PLAIN,
    scale: Scale | None = None,
    seen: NDArray | None = None,
) -> NDArray[np.uint8]:
    """The map as a layer to lay over its picture, `h w 4` of bytes, the last one opacity.

    It is opaque where the map is strongest (everywhere with `blend="even"`), so that a slider may thin the whole
    layer, starting at `style.alpha`; with `blend="grey"` it belongs over `pale_grey`. A flat map gives an empty layer.
    Where the network did not see, it is empty.
    """
    if seen is not None:
        check_fits(values, values, seen)
        values = np.where(seen, values, 0)
    scale, style = scale or style.scale(values, seen), style.settled(values)
    places = normalise(values, scale)
    opacity = np.ones_like(places) if style.blend == "even" and not scale.flat else _opacity(places, scale, style)
    if seen is not None:
        opacity = opacity * seen
    return np.dstack([style.table(scale)[_rows(places)], _rows(opacity).astype(np.uint8)])


def pale_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture `h w 3` without its colours and most of its darkness, so that dots of colour stand out on it."""
    grey = np.asarray(Image.fromarray(picture).convert("L"), np.float32)
    return np.repeat(np.rint(grey + PALE * (255 - grey)).astype(np.uint8)[..., None], 3, axis=2)


def unseen_layer(seen: NDArray) -> NDArray[np.uint8]:
    """A grey, hatched layer over what the network did not see, `h w 4` of bytes."""
    height, width = seen.shape
    step = max(6, round(min(height, width) / 40))
    along = np.add.outer(np.arange(height), np.arange(width)) % step
    grey = np.where(along < max(1, step // 6), 235, UNSEEN_GREY).astype(np.uint8)
    opacity = np.where(seen, 0, round(255 * UNSEEN_COVER)).astype(np.uint8)
    return np.dstack([grey, grey, grey, opacity])


def composite(under: NDArray, layer: NDArray, alpha: float = 1.0) -> NDArray[np.uint8]:
    """A layer `h w 4` over a picture `h w 3`, its opacity times `alpha`."""
    cover = layer[..., 3:].astype(np.float32) * np.float32(alpha / 255)
    return np.rint(under + (layer[..., :3].astype(np.float32) - under) * cover).astype(np.uint8)


def as_picture(picture: NDArray | Image.Image) -> NDArray[np.uint8]:
    """A checked picture, `h w 3` of bytes; a grey one gets three equal channels."""
    if isinstance(picture, Image.Image):
        return np.asarray(picture.convert("RGB"))
    if picture.dtype != np.uint8:
        raise UsageError(f"a picture to draw on holds bytes 0 to 255 (uint8), and {picture.dtype} came")
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=2)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise UsageError(f"a picture to draw on is height x width x 3, and {picture.shape} came")
    return picture


def check_fits(picture: NDArray, values: NDArray, seen: NDArray | None = None) -> None:
    """Raise `UsageError` unless map and `seen` have the height and width of the picture."""
    for name, array in (("map", values), ("mask of what was seen", seen)):
        if array is not None and array.shape != picture.shape[:2]:
            expected = " x ".join(map(str, picture.shape[:2]))
            raise UsageError(
                f"the {name} has shape {array.shape}, and the picture is {expected}: bring it to that frame"
            )


def _opacity(places: NDArray[np.float32], scale: Scale, style: Style) -> NDArray[np.float32]:
    """From nothing at zero to 1 at the strong end, growing with strength.

    One sign: the square root, so that weak evidence can still be seen. Both: flat about zero, since a bend where the
    sign changes would draw a line into the picture that is not in the map; a fine map is all bends, and its strength
    is its opacity.
    """
    strong = strength(places, scale)
    if style.blend == "grey":
        return strong
    return strong * strong * (3 - 2 * strong) if scale.diverging else np.sqrt(strong)


def _rows(places: NDArray) -> NDArray[np.intp]:
    return np.rint(places * 255).astype(np.intp)
