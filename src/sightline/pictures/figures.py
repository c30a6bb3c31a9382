"""Figures for papers and notebooks, drawn with matplotlib (an extra; nothing else here imports it).

Figures are made with matplotlib's objects and never with pyplot, so that no global figure, backend or setting changes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import SpecError, UsageError, unknown
from sightline.pictures.axes import INCHES, empty, figure_bytes, show
from sightline.pictures.marks import UNMARKED, Marks, mark_axes, tell_marks
from sightline.pictures.overlay import as_picture, check_fits, composite, heat, overlay, unseen_layer
from sightline.pictures.scale import Scale
from sightline.pictures.style import PLAIN, Style, seen_part

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Titled: TypeAlias = "tuple[str, NDArray]"
"""A title, usually the method's name, and its map `h w`."""

WIDEST = 6
"""Pictures side by side where nobody says how many rows."""
FORMATS = ("png", "pdf", "svg")
CELL = 160  # pixels of the longer side of one occluded picture


def panels(
    picture: NDArray | Image.Image,
    values: NDArray,
    *,
    title: str = "",
    style: Style = PLAIN,
    seen: NDArray | None = None,
    marks: Marks = UNMARKED,
) -> Figure:
    """Original, map and overlay side by side, the last two with the colour bar that they share.

    `values` `h w` in the frame of the picture; `seen` `h w`, true where the network looked; `marks`, what is outlined.
    Raises `MissingExtraError` without matplotlib, `UsageError` where shapes differ, `NonFiniteError` for NaN.
    """
    under = as_picture(picture)
    check_fits(under, values, seen)
    scale = style.scale(values, seen)
    drawn = heat(values if seen is None else np.where(seen, values, 0), style, scale)
    if seen is not None:
        drawn = composite(drawn, unseen_layer(seen))
    figure, axes = empty(1, 3, under.shape, title)
    show(axes[0], under, "picture")
    show(axes[1], drawn, "map", (scale, style))
    show(axes[2], overlay(under, values, style, scale, seen), "overlay", (scale, style))
    mark_axes(axes[0], marks.of_picture, under.shape)
    for axis in axes[1:]:
        mark_axes(axis, marks, under.shape)
    tell_marks(figure, [marks])
    return figure


def method_grid(
    pictures: Sequence[tuple[NDArray | Image.Image, Sequence[Titled]]],
    *,
    style: Style = PLAIN,
    rows: int | None = None,
    title: str = "",
    seen: Sequence[NDArray | None] = (),
    marks: Sequence[Sequence[Marks]] = (),
) -> Figure:
    """Each picture followed by its overlays, one a method, wrapped into `rows` rows for each picture.

    Each overlay has its own colour bar with numbers; which maps have one scale says `style.share` (by default those
    under the same title, picture after picture). Without `rows` a row holds at most six. `seen`: for each picture where
    the network looked, or nothing. `marks`: for each picture what is outlined on each of its maps, or nothing at all.
    """
    if not pictures or not all(maps for _, maps in pictures):
        raise UsageError("a grid needs a picture, and a map for each picture")
    cells = 1 + max(len(maps) for _, maps in pictures)
    rows = checked_rows(rows) or -(-cells // WIDEST)
    columns = -(-cells // rows)
    rows = -(-cells // columns)
    masks = list(seen) or [None] * len(pictures)
    outlined = list(marks) or [[UNMARKED] * len(maps) for _, maps in pictures]
    scales = shared_scales([maps for _, maps in pictures], style, masks)
    figure, axes = empty(rows * len(pictures), columns, as_picture(pictures[0][0]).shape, title)
    for index, (picture, maps) in enumerate(pictures):
        under = as_picture(picture)
        mine = axes[index * rows * columns :]
        show(mine[0], under, "picture")
        mark_axes(mine[0], outlined[index][0].of_picture, under.shape)
        for axis, (name, values), scale, own in zip(mine[1:], maps, scales[index], outlined[index], strict=False):
            show(axis, overlay(under, values, style, scale, masks[index]), name, (scale, style))
            mark_axes(axis, own, under.shape)
    tell_marks(figure, [own for row in outlined for own in row])
    return figure


def shared_scales(
    maps: Sequence[Sequence[Titled]], style: Style, seen: Sequence[NDArray | None] = ()
) -> list[list[Scale]]:
    """The scale of each map, picture by picture, as `style.share` says; `seen` has one entry a picture, or none."""

    def group(picture: int, place: int, name: str) -> tuple[object, ...]:
        return {"map": (picture, place), "method": (name,), "all": ()}[style.share]

    together: dict[tuple[object, ...], list[NDArray]] = {}
    for picture, (row, mask) in enumerate(zip(maps, seen or [None] * len(maps), strict=True)):
        for place, (name, values) in enumerate(row):
            together.setdefault(group(picture, place, name), []).append(seen_part(values, mask))
    scales = {key: style.shared_scale(parts) for key, parts in together.items()}
    return [[scales[group(p, i, name)] for i, (name, _) in enumerate(row)] for p, row in enumerate(maps)]


def occluded_grid(
    occluded: Sequence[NDArray | Image.Image],
    probabilities: Sequence[float],
    *,
    rows: int | None = None,
    style: Style = PLAIN,
    title: str = "",
) -> Figure:
    """The occluded pictures in the order given, row by row, each with its probability printed and drawn as a bar.

    Without `rows` the grid is about square. The bar's colour is that of the probability on a scale 0 to 1.
    """
    if not occluded or len(occluded) != len(probabilities):
        raise UsageError(f"{len(occluded)} occluded pictures came with {len(probabilities)} probabilities")
    chances = np.asarray(probabilities, dtype=np.float64)
    if not ((chances >= 0) & (chances <= 1)).all():
        raise UsageError(f"probabilities lie in 0 to 1, and {chances.min():g} to {chances.max():g} came")
    rows = min(checked_rows(rows) or round(len(occluded) ** 0.5), len(occluded))
    columns = -(-len(occluded) // rows)
    cells = [_small(as_picture(picture)) for picture in occluded]
    figure, axes = empty(-(-len(cells) // columns), columns, cells[0].shape, title, INCHES * 0.55)
    table = style.table(Scale(0.0, 1.0)) / 255
    for axis, cell, chance in zip(axes, cells, chances, strict=False):
        show(axis, cell, "")
        bar = axis.inset_axes((0.0, -0.09, 1.0, 0.06))
        bar.barh([0], [chance], color=table[round(255 * chance * 0.9)], height=1)
        bar.set(xlim=(0, 1), ylim=(-0.5, 0.5), xticks=[], yticks=[])
        bar.spines[:].set(color="0.7", linewidth=0.5)
        axis.text(0.5, -0.13, f"{chance:.3f}", transform=axis.transAxes, ha="center", va="top", fontsize=8)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str], dots: int = 200) -> Path:
    """Write the figure as `.png`, `.pdf` or `.svg`, whole or not at all; the same figure gives the same bytes.

    `dots` a inch. Raises `SpecError` for another suffix, `UsageError` where the folder is missing.
    """
    target = Path(path)
    form = target.suffix.lstrip(".").lower()
    if form not in FORMATS:
        raise SpecError(f"{target.name}: {unknown('figure format', form or 'none', FORMATS)}")
    if not target.parent.is_dir():
        raise UsageError(f"the folder {target.parent} does not exist: make it first, or write the figure elsewhere")
    content = figure_bytes(figure, form, dots)
    handle, half = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(half, 0o644)
        os.replace(half, target)
    except BaseException:
        Path(half).unlink(missing_ok=True)
        raise
    return target


def checked_rows(rows: int | None) -> int:
    """The number of rows, 0 for none said; raises `UsageError` below 1."""
    if rows is not None and rows < 1:
        raise UsageError(f"a grid has one row or more, and {rows} came")
    return rows or 0


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    image.thumbnail((CELL, CELL))
    return np.asarray(image)
