"""A picture as a mask: which of its pixels are the object, and which pictures are no mask.

    grey      at least half bright
    coloured  every colour but black: one a class or an object, as in the masks of Pascal VOC (M. Everingham et al.,
              IJCV 2010), whose cream (224, 224, 192), "not to be judged", is none

Refused, since a guess would be wrong without a word: a grey picture whose numbers are classes (0, 1, 2, … and perhaps
255), and a photograph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.images.load import Picture

_WHITE_FROM = 128
_COLOURED_FROM = 32
"""Levels between channels from which on a pixel is no grey, and above black from which on it is not black."""
_VOID = (224, 224, 192)
_JPEG_NOISE = 16
_MOST_COLOURS = 64
"""Colours, in steps of 32 levels a channel, that a mask holds at most; a photograph holds more."""


def mask_of_picture(picture: Picture) -> NDArray[np.bool_]:
    """`H W` booleans, True on the object, of a picture that was read over black.

    Raises:
        UsageError: it has no bright pixel, its numbers are classes, or it is a photograph.
    """
    rgb = np.asarray(picture.rgb)
    bright = rgb.max(axis=2)
    if is_coloured(rgb):
        if (many := _colours(rgb)) > _MOST_COLOURS:
            raise UsageError(
                f"the mask {picture.name} looks like a photograph ({many} colours): a mask is black with white, or one "
                "colour an object"
            )
        return (bright >= _COLOURED_FROM) & (rgb != _VOID).any(axis=2)
    white = bright >= _WHITE_FROM
    if ((bright > _JPEG_NOISE) & (bright < 255 - _JPEG_NOISE)).mean() > 0.5 and len(np.unique(bright)) > _MOST_COLOURS:
        raise UsageError(f"the mask {picture.name} looks like a photograph (mostly greys): a mask is black and white")
    if not white.any():
        raise UsageError(
            f"the mask {picture.name} has no bright pixel (its brightest is {bright.max()} of 255): a mask picture is "
            "white on the object; if its numbers are classes, give an array such as `classes == 8`"
        )
    dark = (bright > (_JPEG_NOISE if picture.format in ("JPEG", "MPO") else 0)) & ~white
    if int(dark.sum()) > int(white.sum()):
        raise UsageError(
            f"the mask {picture.name} holds more dark grey than white (levels such as {_some(bright[dark])}): if its "
            "numbers are classes, give an array such as `classes == 8`; if it is soft, make it black and white first"
        )
    return white


def is_coloured(rgb: NDArray[np.uint8]) -> bool:
    """Whether some pixel is no grey."""
    return bool((rgb.max(axis=2) - rgb.min(axis=2) >= _COLOURED_FROM).any())


def _colours(rgb: NDArray[np.uint8]) -> int:
    steps = (rgb // 32).astype(np.int64)
    return len(np.unique(steps @ np.array([64, 8, 1])))


def _some(levels: NDArray[np.uint8]) -> str:
    return ", ".join(map(str, np.unique(levels)[:3].tolist()))
