"""Pictures side by side with captions, and pictures as the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import UsageError
from sightline.pictures.bars import GAP, framed, paragraph, stack
from sightline.pictures.lettering import INK, PAPER, line_height, text_size

Picture = NDArray[np.uint8] | Image.Image


def grid(images: Sequence[Picture], titles: Sequence[str] = (), columns: int = 0) -> Image.Image:
    """A contact sheet: pictures in rows of `columns` (about square where 0), each under its title.

    Pictures keep their size; a cell is as wide and as high as the largest. Raises `UsageError` for no picture, or
    titles of another number.
    """
    if not images:
        raise UsageError("there is no picture to lay out")
    if titles and len(titles) != len(images):
        raise UsageError(f"{len(images)} pictures came with {len(titles)} titles")
    pictures = [image if isinstance(image, Image.Image) else Image.fromarray(image) for image in images]
    width = max(picture.width for picture in pictures)
    size = text_size(width)
    if titles:
        captions = [paragraph(title, width, size, INK) for title in titles]
        room = max(line_height(size), *(caption.height for caption in captions))
        pictures = [
            stack([_in_room(caption, room), picture], 2) for caption, picture in zip(captions, pictures, strict=True)
        ]
    columns = columns or round(np.ceil(np.sqrt(len(pictures))))
    return framed(_lay_out(pictures, columns), 2 * GAP)


def png(array: Picture) -> bytes:
    """The picture (`h w`, `h w 3` or `h w 4` of bytes) as a PNG file."""
    return _encoded(array, "PNG", optimize=True)


def jpeg(array: Picture, quality: int = 90) -> bytes:
    """The picture as a JPEG file; it has no opacity, so `h w 4` is refused (`UsageError`)."""
    if _image(array).mode == "RGBA":
        raise UsageError("JPEG holds no opacity: write this layer as PNG or WebP")
    return _encoded(array, "JPEG", quality=quality, subsampling=0)


def webp(array: Picture, quality: int = 90) -> bytes:
    """The picture as a WebP file; quality 100 keeps every value."""
    return _encoded(array, "WEBP", quality=quality, lossless=quality >= 100, exact=True)


def _in_room(caption: Image.Image, height: int) -> Image.Image:
    whole = Image.new("RGB", (caption.width, height), PAPER)
    whole.paste(caption, (0, height - caption.height))
    return whole


def _lay_out(cells: list[Image.Image], columns: int) -> Image.Image:
    gap = 2 * GAP
    wide = max(cell.width for cell in cells) + gap
    high = max(cell.height for cell in cells) + gap
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * wide - gap, rows * high - gap), PAPER)
    for index, cell in enumerate(cells):
        sheet.paste(cell, (index % columns * wide, index // columns * high))
    return sheet


def _image(array: Picture) -> Image.Image:
    return array if isinstance(array, Image.Image) else Image.fromarray(np.ascontiguousarray(array))


def _encoded(array: Picture, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    _image(array).save(buffer, form, **options)
    return buffer.getvalue()
