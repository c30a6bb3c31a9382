"""The colour bar: which colour stands for which value, beside every picture that leaves the program."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sightline.pictures.colours import Table
from sightline.pictures.lettering import INK, PALE_INK, PAPER, line_height, lines, measure, text_size, write
from sightline.pictures.scale import Scale, number

GAP = 6
EDGE = (173, 181, 189)


def ticks(scale: Scale) -> list[tuple[float, str]]:
    """Places on the bar, 0 to 1, and the numbers there: both ends, and zero."""
    if scale.flat:
        return [(0.5, number(scale.high))]
    if scale.diverging:
        return [(0.0, number(scale.low)), (0.5, "0"), (1.0, number(scale.high))]
    return [(0.0, number(scale.low)), (1.0, number(scale.high))]


def bar_table(scale: Scale, table: Table) -> Table:
    """The colours from the lowest to the highest number: with `negative` the strongest is the lowest."""
    if scale.flat:
        return np.broadcast_to(table[:1], table.shape)
    return table[::-1] if scale.sign == "negative" else table


def colour_bar(
    scale: Scale, table: Table, length: int = 224, *, thickness: int = 0, vertical: bool = False, label: str = ""
) -> Image.Image:
    """The bar with its numbers on white; `length` pixels long, as thick as suits where `thickness` is 0.

    Horizontal bars run low to high from left to right, vertical ones from below to above. `label` stands beneath.
    """
    size = text_size(length)
    thickness = thickness or max(8, size)
    draw = _vertical if vertical else _horizontal
    bar = draw(scale, bar_table(scale, table), length, thickness, size)
    if not label:
        return bar
    return stack([bar, paragraph(label, bar.width, size)])


def with_colour_bar(
    image: NDArray[np.uint8], scale: Scale, table: Table, title: str = "", note: str = "", units: str = ""
) -> Image.Image:
    """A drawn map `h w 3` with its title, its colour bar and its scale in words, as one picture.

    `note` stands under the scale, for instance `overlay.UNSEEN`; `units` say what the numbers of the scale are in.
    """
    picture = Image.fromarray(image)
    width = max(picture.width, 120)
    size = text_size(width)
    parts = [paragraph(title, width, size + 2, INK)] if title else []
    parts += [picture, colour_bar(scale, table, width, label=", ".join(filter(None, [scale.words(), units])))]
    parts += [paragraph(note, width, size)] if note else []
    return framed(stack(parts), 2 * GAP)


def paragraph(text: str, width: int, size: int, ink: tuple[int, int, int] = PALE_INK) -> Image.Image:
    """Words on white, broken to the width."""
    found = lines(text, width, size)
    step = line_height(size)
    image = Image.new("RGB", (width, max(1, step * len(found))), PAPER)
    for row, line in enumerate(found):
        write(image, (0, row * step), line, size, ink)
    return image


def stack(parts: list[Image.Image], gap: int = GAP) -> Image.Image:
    """Images one under the other on white, at the left."""
    height = sum(part.height for part in parts) + gap * (len(parts) - 1)
    whole = Image.new("RGB", (max(part.width for part in parts), height), PAPER)
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height + gap
    return whole


def framed(image: Image.Image, margin: int) -> Image.Image:
    """The image with a white margin."""
    whole = Image.new("RGB", (image.width + 2 * margin, image.height + 2 * margin), PAPER)
    whole.paste(image, (margin, margin))
    return whole


def _horizontal(scale: Scale, table: Table, length: int, thickness: int, size: int) -> Image.Image:
    image = Image.new("RGB", (length, thickness + line_height(size) + 5), PAPER)
    colours = table[np.linspace(0, 255, length).round().astype(int)]
    image.paste(Image.fromarray(np.repeat(colours[None], thickness, axis=0)), (0, 0))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, length - 1, thickness - 1), outline=EDGE)
    for place, text in ticks(scale):
        x = round(place * (length - 1))
        draw.line((x, thickness, x, thickness + 3), fill=INK)
        wide = measure(text, size)
        write(image, (min(max(0, x - wide / 2), length - wide), thickness + 4), text, size)
    return image


def _vertical(scale: Scale, table: Table, length: int, thickness: int, size: int) -> Image.Image:
    wide = max(measure(text, size) for _, text in ticks(scale))
    image = Image.new("RGB", (thickness + 8 + wide, length), PAPER)
    colours = table[::-1][np.linspace(0, 255, length).round().astype(int)]
    image.paste(Image.fromarray(np.repeat(colours[:, None], thickness, axis=1)), (0, 0))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, thickness - 1, length - 1), outline=EDGE)
    for place, text in ticks(scale):
        y = round((1 - place) * (length - 1))
        draw.line((thickness, y, thickness + 3, y), fill=INK)
        write(image, (thickness + 6, min(max(0, y - size / 2), length - line_height(size))), text, size)
    return image
