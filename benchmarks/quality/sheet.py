"""The small grid of maps on the page: photographs by methods, maps alone, with the box of the object.

The photographs are not drawn: their licences do not allow it here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from quality.contestants import FAST, Array, Case, own
from quality.photographs import Photograph
from sightline.attribution.table import METHODS as KNOWN
from sightline.pictures.overlay import heat
from sightline.pictures.sheets import grid, webp
from sightline.pictures.style import Style

METHODS = (
    "occlusion",
    "rise",
    "i-gos",
    "igos-plus-plus",
    "integrated-gradients",
    "smooth-grad",
    "lrp",
    "grad-cam",
    "layer-cam",
    "guided-grad-cam",
)
PICTURES = 6
SIDE = 112
MOST_BYTES = 60_000


class Maps:
    """The maps of the grid, kept in a folder outside of the project's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, method: str, photograph: Photograph, map: Array) -> None:
        """Keep a map."""
        self.folder.mkdir(parents=True, exist_ok=True)
        np.save(self._file(method, photograph), map, allow_pickle=False)

    def has(self, method: str, photographs: Sequence[Photograph]) -> bool:
        """Whether the maps of a method were kept, or can quickly be made."""
        kept = all(self._file(method, photograph).is_file() for photograph in photographs)
        return method in KNOWN and (kept or method not in FAST)

    def get(self, method: str, photograph: Photograph, case: Case) -> Array:
        """A map that was kept, else one that is made now."""
        file = self._file(method, photograph)
        if not file.is_file():
            self.keep(method, photograph, own(method).make(case).map)
        kept: Array = np.load(file, allow_pickle=False)
        return kept

    def _file(self, method: str, photograph: Photograph) -> Path:
        return self.folder / f"{method}-{own(method).settings}-{photograph.path.stem}.npy"


def draw(photographs: Sequence[Photograph], maps: Maps, case: Callable[[Photograph], Case]) -> bytes:
    """The grid as a WebP file: one row a photograph, one column a method; costly methods only where they were kept."""
    photographs = photographs[:PICTURES]
    methods = [method for method in METHODS if maps.has(method, photographs)]
    places = [(method, photograph) for photograph in photographs for method in methods]
    cells = [_cell(maps.get(method, photograph, case(photograph)), photograph) for method, photograph in places]
    sheet = grid(cells, [method for method, _ in places], columns=len(methods))
    return next(made for quality in range(85, 5, -5) if len(made := webp(sheet, quality)) < MOST_BYTES)


def _cell(values: Array, photograph: Photograph) -> NDArray[np.uint8]:
    """One map, small, with the box: the crop begins 1.5 pixels inside the photograph."""
    image = Image.fromarray(heat(values, Style(percentile=99.5))).resize((SIDE, SIDE), Image.Resampling.BOX)
    left, top, right, bottom = ((edge - 1.5) * SIDE / values.shape[0] for edge in photograph.box)
    corners = [float(np.clip(edge, 1, SIDE - 2)) for edge in (left, top, right, bottom)]
    draw = ImageDraw.Draw(image)
    draw.rectangle(corners, outline=(20, 20, 20))
    draw.rectangle([corners[0] - 1, corners[1] - 1, corners[2] + 1, corners[3] + 1], outline=(250, 250, 250))
    return np.asarray(image)
