"""Colour maps as lookup tables: 256 rows of red, green and blue, bytes.

The perceptually uniform maps are those of Stéfan van der Walt and Nathaniel Smith (2015), given here by points between
which one interpolates, right to 2/255; `rdbu` is ColorBrewer's red to blue (Cynthia Brewer, 2003), `bluered` the same
idea with ends that stay vivid on a photograph; `jet` is there because readers of older work expect it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from sightline.errors import SpecError, plain_word, unknown

Table: TypeAlias = NDArray[np.uint8]
"""`256 3`, bytes: the colour of the weakest value first."""
Colour: TypeAlias = "str | Sequence[float]"
"""A name or `#rrggbb`, three whole numbers 0 to 255, or three fractions 0.0 to 1.0."""
Colours: TypeAlias = "str | Sequence[Colour] | Table"
"""The name of a colour map, colours to interpolate (a list, or text with commas), or a finished table."""

SEQUENTIAL = "inferno"
"""For maps that have one sign: dark is weak, bright is strong."""
DIVERGING = "bluered"
"""For maps of both signs: blue speaks against, neutral is zero, red speaks for."""

POINTS = {
    "viridis": """
        440154 471164 482071 472e7c 443b84 3f4889 39558c 34618d 2f6c8e 2a768e 26818e 228b8d
        1f958b 1fa088 24aa83 2fb47c 40bd72 56c667 70cf57 8bd646 a8db34 c5e021 e2e418 fde725""",
    "magma": """
        000004 060518 110c2f 1e1149 2f1163 420f75 56147d 671b80 782281 892881 9b2e7f ad347c
        bf3a77 d0416f e04c67 ed5a5f f66c5c fa815f fd9869 feac76 fec185 fed597 fde9aa fcfdbf""",
    "inferno": """
        000004 040312 0b0724 160b39 230c4c 310a5c 3e0966 4d0d6c 5a116e 67166e 741a6e 801f6c 8f2469 9b2964 a82e5f b43359
        c13a50 cc4248 d74b3f e05536 e9612b ef6e21 f57b17 f8890c fb9706 fca80d fbb81d f9c72f f6d746 f2e865 f3f586 fcffa4
        """,
    "rdbu": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
    "bluered": "1550e0 769bf3 f7f7f7 ef846b c40d0d",
    "grey": "000000 ffffff",
}
JET = (
    ((0, 0.35, 0.66, 0.89, 1), (0, 0, 1, 1, 0.5)),
    ((0, 0.125, 0.375, 0.64, 0.91, 1), (0, 0, 1, 1, 0, 0)),
    ((0, 0.11, 0.34, 0.65, 1), (0.5, 1, 1, 0, 0)),
)
"""Of red, green and blue: where it bends, and its strength there."""
OTHER_NAMES = {"gray": "grey", "rdbur": "rdbu"}
NAMES = (*POINTS, "jet")
"""The maps that need nothing installed; with matplotlib every one of its names is known too."""


def colour_map(colours: Colours) -> Table:
    """The table `256 3` of bytes for a name, for colours to interpolate, or for a finished table.

    `"viridis"`, `"jet"`, `"black,#ff0000,yellow"`, `["black", (255, 0, 0), (1.0, 1.0, 0.0)]`. Names are compared
    without case and hyphens. Raises `SpecError` for a name or a colour that is not known.
    """
    if isinstance(colours, str):
        return between(colours.split(",")) if "," in colours else named(colours)
    if isinstance(colours, np.ndarray):
        return _checked_table(colours)
    if isinstance(colours, Sequence):
        return between(colours)
    raise SpecError(f"colours came as {type(colours).__name__}; give a name such as 'viridis', or colours in a list")


def named(name: str) -> Table:
    """The table of a colour map's name: ours, else matplotlib's where it is installed."""
    plain = plain_word(name)
    plain = OTHER_NAMES.get(plain, plain)
    if plain == "jet":
        place = np.linspace(0, 1, 256)
        return _bytes(np.stack([255 * np.interp(place, *channel) for channel in JET], axis=1))
    if plain in POINTS:
        return between([f"#{point}" for point in POINTS[plain].split()])
    theirs = _matplotlib_maps()
    by_plain = {plain_word(known): known for known in theirs if not known.endswith("_r")}
    by_plain |= {plain_word(known): known for known in theirs if known.endswith("_r")}
    if plain in by_plain:
        return _bytes(255 * np.asarray(theirs[by_plain[plain]](np.linspace(0, 1, 256)))[:, :3])
    more = "" if theirs else " (with matplotlib installed, its colour maps are known too)"
    raise SpecError(unknown("colour map", name, [*NAMES, *theirs]) + more)


def between(colours: Sequence[Colour]) -> Table:
    """The table that runs evenly through two or more colours."""
    if len(colours) < 2:
        raise SpecError(f"a colour map needs two colours or more, and {len(colours)} came, as in 'black,red,yellow'")
    points = np.array([one_colour(colour) for colour in colours], dtype=np.float64)
    # Points lie on whole rows, so that each given colour is in the table as it was given.
    at = np.rint(np.linspace(0, 255, len(points))) if len(points) <= 256 else np.linspace(0, 255, len(points))
    return _bytes(np.stack([np.interp(np.arange(256), at, channel) for channel in points.T], axis=1))


def one_colour(colour: Colour) -> tuple[float, float, float]:
    """Red, green, blue in 0 to 255 of one colour; fractions are told from whole numbers by their type."""
    if isinstance(colour, str):
        try:
            return ImageColor.getrgb(colour.strip())[:3]
        except ValueError:
            raise SpecError(_unknown_colour(colour)) from None
    values: list[Any] = list(colour) if isinstance(colour, Sequence | np.ndarray) else []
    whole = all(isinstance(value, int | np.integer) and 0 <= value <= 255 for value in values)
    parts = all(isinstance(value, float | np.floating) and 0 <= value <= 1 for value in values)
    if len(values) != 3 or not (whole or parts):
        raise SpecError(f"colour {colour!r}: give a name, '#rrggbb', (255, 0, 0) or (1.0, 0.0, 0.0)")
    stretch = 1 if whole else 255
    return float(values[0]) * stretch, float(values[1]) * stretch, float(values[2]) * stretch


def _unknown_colour(colour: str) -> str:
    if colour.strip().startswith("#"):
        return f"colour {colour.strip()!r} cannot be read: write '#rrggbb', as in '#ff8800'"
    return unknown("colour", colour.strip(), ImageColor.colormap)


def _checked_table(table: NDArray) -> Table:
    if table.shape != (256, 3) or table.dtype != np.uint8:
        raise SpecError(f"a table of colours is 256 x 3 of uint8, and {table.shape} of {table.dtype} came")
    return table


def _bytes(values: NDArray) -> Table:
    return np.rint(values).astype(np.uint8)


def _matplotlib_maps() -> dict[str, Callable[[NDArray], NDArray]]:
    """matplotlib's colour maps by name, or none where it is not installed: there it is only an extra."""
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        return {}
    return dict(matplotlib.colormaps)
