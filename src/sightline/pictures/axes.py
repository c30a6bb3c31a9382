"""Axes with a picture, its title and its colour bar in them: what every figure is put together from.

Figures are made with matplotlib's objects and never with pyplot, so that no global figure, backend or setting changes.
"""

from __future__ import annotations

import importlib
import io
import textwrap
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from sightline.errors import MissingExtraError
from sightline.pictures.bars import bar_table, ticks
from sightline.pictures.scale import Scale
from sightline.pictures.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = 2.4
"""The longer side of one picture in a figure."""
TITLE_LETTERS, LEAST_LETTERS = 36, 12  # of the title's size, in a line over a picture of INCHES
TITLE_ROOM = 0.11  # inches between a figure's title and those of its parts, which matplotlib lets touch


def part_of_matplotlib(name: str = "") -> Any:
    """A module of matplotlib, or all of it; raises `MissingExtraError` where it is not installed."""
    try:
        return importlib.import_module(f"matplotlib.{name}" if name else "matplotlib")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "matplotlib":
            raise  # matplotlib is there and something of its own is missing: that is another fault
        raise MissingExtraError("matplotlib", "figures", "drawing a figure") from None


def empty(
    rows: int, columns: int, shape: tuple[int, ...], title: str, inches: float = INCHES
) -> tuple[Figure, list[Axes]]:
    """A figure and its empty axes, row by row, sized for pictures of this shape."""
    height, width = shape[:2]
    wide, high = inches * width / max(height, width), inches * height / max(height, width)
    size = (columns * (wide + 0.25), rows * (high + 0.8) + (0.4 if title else 0))
    figure = part_of_matplotlib("figure").Figure(figsize=size, layout="compressed")
    part_of_matplotlib("backends.backend_agg").FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=11).set_parse_math(False)
        figure.get_layout_engine().set(h_pad=TITLE_ROOM)
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axis in axes:
        axis.set_axis_off()
    # A notebook draws a figure without pyplot only when the figure itself says how.
    figure._repr_png_ = partial(figure_bytes, figure)
    return figure, axes


def show(axis: Axes, image: NDArray, title: str, bar: tuple[Scale, Style] | None = None) -> None:
    """An image in its axes, with its title and, where a scale is given, its colour bar."""
    axis.imshow(image, interpolation="nearest" if max(image.shape) < 64 else "antialiased")
    if title:
        # matplotlib breaks lines at the figure's edge only, not at the neighbour's title.
        letters = round(TITLE_LETTERS * image.shape[1] / max(image.shape[:2]))  # an upright picture is narrower
        axis.set_title(textwrap.fill(title, max(letters, LEAST_LETTERS)), fontsize=9).set_parse_math(False)
    if bar is not None:
        scale, style = bar
        inset = axis.inset_axes((0.0, -0.1, 1.0, 0.045))
        inset.imshow(bar_table(scale, style.table(scale))[None], aspect="auto", extent=(0, 1, 0, 1))
        places, texts = zip(*ticks(scale), strict=True)
        inset.set_yticks([])
        inset.set_xticks(places, labels=texts, fontsize=7)
        for place, label in zip(places, inset.get_xticklabels(), strict=True):  # inside the picture's width
            label.set_horizontalalignment("left" if place == 0 else "right" if place == 1 else "center")
        if scale.remarks():
            inset.set_xlabel(scale.remarks().replace(", ", "\n"), fontsize=7)
        inset.tick_params(length=2, pad=2)
        inset.spines[:].set(color="0.6", linewidth=0.5)


def figure_bytes(figure: Figure, form: str = "png", dots: int = 150) -> bytes:
    """The figure as a file's bytes."""
    matplotlib = part_of_matplotlib()
    buffer = io.BytesIO()
    if figure.get_layout_engine() is not None:
        # Laid out once and then left: a second layout moves things by fractions of a pixel, and the bytes with them.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    dated = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[form]
    with matplotlib.rc_context({"svg.hashsalt": "sightline"}):
        figure.savefig(buffer, format=form, dpi=dots, bbox_inches="tight", pad_inches=0.1, metadata=dated)
    return buffer.getvalue()
