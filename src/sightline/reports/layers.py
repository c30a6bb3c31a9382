"""Pictures and maps small enough for a page: a photograph, a layer of colours to lay over it, what was not seen."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.images.frame import Frame
from sightline.pictures.axes import figure_bytes
from sightline.pictures.bars import bar_table, ticks
from sightline.pictures.overlay import heat_layer, unseen_layer
from sightline.pictures.scale import Scale
from sightline.pictures.sheets import webp
from sightline.pictures.style import Style
from sightline.reports.page import webp_address

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 512
"""Pixels of the longer side of a picture in the page."""
DOTS = 320
"""The same of a map of single pixels, which is as wide as the page shows it: a browser would shrink dots to grey."""
BUDGET = 40_000
"""Bytes that one picture or one layer should stay under."""
STOPS = 17
AGAINST, FOR, NO_EFFECT = "speaks against", "speaks for", "no effect"
FIGURE_QUALITY = 85
"""Of drawings with small letters in them, which would smear below it."""


@dataclass(frozen=True)
class Bar:
    """A colour bar: CSS colours from the lowest to the highest number, the numbers, what the ends mean, remarks."""

    gradient: str
    ticks: tuple[tuple[float, str], ...]
    ends: tuple[str, str]
    remarks: str


def thumbnail(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture `h w 3` as large as the page shows it; small ones stay as they are."""
    image = Image.fromarray(np.ascontiguousarray(rgb))
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return np.asarray(image)


def photograph(rgb: NDArray[np.uint8]) -> str:
    """The picture of the page as a data address."""
    return webp_address(_small(Image.fromarray(rgb), qualities=(82, 70, 55)))


def colours_over(values: NDArray[np.float32], frame: Frame, style: Style, scale: Scale) -> str:
    """The map (in the frame of the network's input) in colours, to lay over the picture of the page."""
    seen, drawn = frame.seen(), frame.to_picture(values)
    if style.blend == "grey":
        drawn, seen = strongest(drawn, DOTS), strongest(seen, DOTS)
    layer = heat_layer(drawn, style, scale, None if seen.all() else seen)
    if style.blend == "grey" and len(sharp := webp(_in_steps(layer), 100)) <= BUDGET:
        return webp_address(sharp)
    return webp_address(_small(Image.fromarray(layer), qualities=(85, 70, 50)))


def strongest(values: NDArray[Any], longest: int) -> NDArray[Any]:
    """Values `h w` brought to `longest` on the longer side, each the furthest from zero of those in its place.

    The mean of neighbours, which every reader of pictures takes to shrink one, makes grey of red and blue dots.
    """
    height, width = values.shape
    part = longest / max(height, width)
    if part >= 1:
        return values
    rows, columns = (np.linspace(0, side, max(1, round(side * part)), False).astype(int) for side in (height, width))
    highest, lowest = (
        reduce.reduceat(reduce.reduceat(values, rows, axis=0), columns, axis=1) for reduce in (np.maximum, np.minimum)
    )
    if values.dtype == bool:
        return highest
    return np.where(highest >= -lowest, highest, lowest)


def _in_steps(layer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A layer `h w 4` in few colours and opacities: small without loss, where a photograph's loss would blur dots."""
    opacity = np.minimum((layer[..., 3:].astype(np.int16) + 16) // 32 * 32, 255)
    colours = np.where(opacity > 0, layer[..., :3] // 16 * 17, 0)
    return np.dstack([colours, opacity]).astype(np.uint8)


def hatching(frame: Frame) -> str | None:
    """What the network did not see, hatched; nothing where it saw all."""
    seen = frame.seen()
    return None if seen.all() else webp_address(webp(unseen_layer(seen), 100))


def bar(scale: Scale, style: Style, units: str) -> Bar:
    """The colour bar of a scale, and what its numbers are in."""
    table = bar_table(scale, style.table(scale))
    colours = [table[round(place)] for place in np.linspace(0, len(table) - 1, STOPS)]
    gradient = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colours)
    return Bar(gradient, tuple(ticks(scale)), _ends(scale), ", ".join(filter(None, [units, scale.remarks()])))


def drawing(figure: Figure) -> str:
    """A matplotlib figure as a data address."""
    content = BytesIO(figure_bytes(figure, "png"))
    with Image.open(content) as image:
        return webp_address(webp(image.convert("RGB"), FIGURE_QUALITY))


def _ends(scale: Scale) -> tuple[str, str]:
    if scale.flat:
        return "", ""
    if scale.diverging:
        return AGAINST, FOR
    return (AGAINST, NO_EFFECT) if scale.sign == "negative" else ("little", "much")


def _small(image: Image.Image, qualities: tuple[int, ...]) -> bytes:
    """WebP bytes under the budget where that can be had: quality is given up first, then size."""
    content = b""
    for shrink in (1.0, 0.7, 0.5):
        size = (max(1, round(image.width * shrink)), max(1, round(image.height * shrink)))
        smaller: Any = image if shrink == 1 else image.resize(size, Image.Resampling.LANCZOS)
        for quality in qualities:
            content = webp(smaller, quality)
            if len(content) <= BUDGET:
                return content
    return content
