"""From every colour mode that a file can hold to 8-bit RGB, each by one stated rule.

| Pillow mode            | what it holds              | rule |
|------------------------|----------------------------|------|
| RGB, RGBX              | colour                     | as it is; 16-bit colour by its high byte |
| L, 1                   | grey, black and white      | the level repeated three times |
| P                      | palette                    | looked up |
| RGBA, LA, PA, RGBa, La | with alpha                 | composited on the declared background |
| any with tRNS          | a colour is transparent    | composited on the declared background |
| I;16, I;16L, I;16B     | 16-bit grey                | high byte: a ramp of 256 levels keeps 256 |
| I, in 0…255            | 32-bit whole numbers       | as they are |
| I, in 0…65535          |                            | high byte |
| I, other               |                            | min…max stretched to 0…255 |
| F, in 0…1              | 32-bit floating point      | times 255, rounded |
| F, in 0…255            |                            | rounded |
| F, other               |                            | min…max stretched to 0…255; NaN or infinity refused |
| CMYK                   | print, also YCCK and Adobe's inverted kind | (255 − ink)(255 − black) / 255 |
| YCbCr, HSV             | other colour spaces        | Pillow's full-range conversion (JFIF) |
| LAB                    | CIELAB, D50                | to sRGB (D65, Bradford), clipped |

Embedded ICC profiles are not applied: the pipelines that the networks were trained with do not apply them either. Their
presence is noted. Everything but the first three rows is noted in `Picture.notes`.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

Array: TypeAlias = np.ndarray[Any, Any]
Colour: TypeAlias = tuple[int, int, int]

STRIP = 256  # rows that are converted at a time
DARK = 32  # a 16-bit picture that never reaches this level of 255 is probably 12-bit data in a 16-bit file


_SIXTEEN = re.compile(r"\b(RGB|RGBA|RGBX|RGBa|LA|CMYK|[RGBA]);16[BLN]")  # Pillow's names; BGR;16 is 5-6-5 bits


def to_rgb(image: Image.Image, background: Colour) -> tuple[Array, list[str]]:
    """A decoded picture as uint8 `h w 3`, and the rules that acted.

    Raises:
        ValueError: the mode is not in the table, or floating-point values are not finite.
    """
    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        return _deep(np.asarray(image).astype(np.uint16), key, background)
    if image.mode == "I":
        levels, notes = _whole(np.asarray(image))
        return _grey(levels), notes
    if image.mode == "F":
        levels, notes = _floating(np.asarray(image))
        return _grey(levels), notes
    if image.mode == "LAB":
        return _lab(np.asarray(image)), ["CIELAB converted to sRGB"]
    return _by_strips(image, background)


def is_sixteen_bit_colour(image: Image.Image) -> bool:
    """Whether the file holds more than 8 bits a channel that Pillow will cut to 8; ask before the picture is loaded."""
    return any(_SIXTEEN.search(str(tile.args)) for tile in getattr(image, "tile", []))


def key_to_eight_bits(image: Image.Image) -> None:
    """The key colour of a 16-bit colour picture as its high byte, like the pixels themselves.

    Pillow cuts the pixels to 8 bits but leaves the key colour at 16, so that it would match no pixel.
    """
    key = image.info.get("transparency")
    if isinstance(key, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in key)


def _with_alpha(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _by_strips(image: Image.Image, background: Colour) -> tuple[Array, list[str]]:
    """The modes that Pillow converts pixel by pixel, some rows at a time: copies of the whole would cost memory."""
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    has_alpha, covered = image.has_transparency_data, True
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height)))
        if has_alpha:
            strip, opaque = _composite(_with_alpha(strip), background)
            covered = covered and opaque
        rgb[top : top + STRIP] = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
    notes = [f"{image.mode} converted to RGB"] if image.mode in ("CMYK", "YCbCr", "HSV") else []
    return rgb, notes if covered else [*notes, _composited(background)]


def _composite(image: Image.Image, background: Colour) -> tuple[Image.Image, bool]:
    """The picture on the background, and whether it was opaque."""
    alpha = image.getchannel("A")
    lowest, _ = alpha.getextrema()
    if lowest == 255:
        return image, True
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image, mask=alpha)
    return canvas, False


def _composited(background: Colour) -> str:
    return f"alpha composited on {'white' if background == (255, 255, 255) else f'rgb{background}'}"


def _deep(values: Array, key: object, background: Colour) -> tuple[Array, list[str]]:
    levels = (values >> 8).astype(np.uint8)
    notes = ["16-bit scaled to 8 (high byte)"]
    if values.size and int(levels.max()) < DARK:
        notes.append(
            f"16-bit values reach only {int(values.max())} of 65535: if the data has fewer bits, scale it first"
        )
    rgb = _grey(levels)
    if isinstance(key, int) and bool((values == key).any()):
        rgb[values == key] = background
        notes.append(_composited(background))
    return rgb, notes


def _whole(values: Array) -> tuple[Array, list[str]]:
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high <= 255:
        return values.astype(np.uint8), ["32-bit whole numbers, 0…255 taken as they are"]
    if low >= 0 and high <= 65535:
        return (values >> 8).astype(np.uint8), ["32-bit whole numbers, 0…65535 scaled to 8 bits (high byte)"]
    return _stretch(values, low, high), [f"32-bit whole numbers {low}…{high} stretched to 0…255"]


def _floating(values: Array) -> tuple[Array, list[str]]:
    if not bool(np.isfinite(values).all()):
        raise ValueError("floating-point picture with NaN or infinity")
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return np.rint(values * 255).astype(np.uint8), ["floating point, 0…1 scaled to 0…255"]
    if low >= 0 and high <= 255:
        return np.rint(values).astype(np.uint8), ["floating point, 0…255 rounded"]
    return _stretch(values, low, high), [f"floating point {low:.6g}…{high:.6g} stretched to 0…255"]


def _stretch(values: Array, low: float, high: float) -> Array:
    if low == high:
        return np.zeros(values.shape, np.uint8)
    return np.rint((values.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8)


def _grey(levels: Array) -> Array:
    return np.repeat(levels[:, :, None], 3, axis=2)


# XYZ of the D50 white to linear sRGB (D65), Bradford-adapted: B. Lindbloom, RGB/XYZ matrices.
_XYZ_TO_RGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])


def _lab(stored: Array) -> Array:
    """8-bit CIELAB (a and b are signed bytes) to sRGB: CIE 15, then IEC 61966-2-1."""
    red_green, yellow_blue = stored[..., 1:].astype(np.int8).astype(np.float64).transpose(2, 0, 1)
    lightness = stored[..., 0] * (100 / 255)
    y = (lightness + 16) / 116
    f = np.stack([y + red_green / 500, y, y - yellow_blue / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _D50
    linear = np.clip(xyz @ _XYZ_TO_RGB.T, 0, 1)
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)).astype(
        np.uint8
    )
