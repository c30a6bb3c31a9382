"""Words on pictures, with the font that Pillow carries, so that they look the same everywhere."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

INK = (33, 37, 41)
PALE_INK = (96, 103, 110)
PAPER = (255, 255, 255)
WIDER_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf")
"""Looked for on the system only where a text goes beyond ASCII, which Pillow's own font does not."""


def text_size(width: int) -> int:
    """The height of letters, in pixels, that suits a picture of this width."""
    return max(11, min(20, round(width / 45)))


def line_height(size: int) -> int:
    """The room one line takes."""
    return round(size * 1.35)


def lines(text: str, width: int, size: int, most: int = 3) -> list[str]:
    """The text broken into at most `most` lines that fit the width; what does not fit ends in three dots."""
    found: list[str] = []
    for word in text.split():
        longer = f"{found[-1]} {word}" if found else word
        if found and measure(longer, size) <= width:
            found[-1] = longer
        else:
            found.append(word)
    if len(found) > most:
        found = [*found[: most - 1], " ".join(found[most - 1 :])]
    return [shorten(line, width, size) for line in found]


def shorten(text: str, width: int, size: int) -> str:
    """The text, cut with three dots where it is wider than `width`."""
    if measure(text, size) <= width:
        return text
    keep = len(text)
    while keep > 1 and measure(text[:keep].rstrip() + "...", size) > width:
        keep -= 1
    return text[:keep].rstrip() + "..."


def measure(text: str, size: int) -> int:
    """The width of a line in pixels."""
    font, readable = _font(text, size)
    return round(font.getlength(readable))


def write(image: Image.Image, at: tuple[float, float], text: str, size: int, ink: tuple[int, int, int] = INK) -> None:
    """Write one line, its upper left corner at `at` = (x, y)."""
    font, readable = _font(text, size)
    ImageDraw.Draw(image).text(at, readable, fill=ink, font=font)


def _font(text: str, size: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, str]:
    """A font, and the text as that font can show it: without one for its letters, the nearest ASCII, else `?`."""
    text = "".join(character if character.isprintable() else " " for character in text)
    if text.isascii():
        return _own_font(size), text
    wider = _wider_font(size)
    if wider is not None:
        return wider, text
    plain = unicodedata.normalize("NFKD", text.replace("−", "-").replace("…", "..."))
    letters = "".join(character for character in plain if not unicodedata.combining(character))
    return _own_font(size), letters.encode("ascii", "replace").decode()


@lru_cache(maxsize=32)
def _own_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=32)
def _wider_font(size: int) -> ImageFont.FreeTypeFont | None:
    for name in WIDER_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:  # not on this system: the next one
            continue
    return None
