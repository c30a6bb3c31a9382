"""Boxes around what a map shows and the object's outline, drawn on pictures and figures as the report draws them.

Boxes are white between black lines, seen on light and on dark; the object's outline is green, dashed on black.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sightline.pictures.axes import part_of_matplotlib
from sightline.pictures.outlines import Loops

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHITE, BLACK, GREEN = (255, 255, 255), (0, 0, 0), (77, 255, 77)
DASH, BREAK = 7.0, 5.0
"""Lengths of the dashes and between them, in widths of the report's thinnest line."""
THINNEST = 1 / 480
"""That width, in parts of a picture's longer side: the report shows a picture about 480 pixels wide."""
BOXES, TRUTH = "white boxes: around what a map shows", "green, dashed: where the object is"


@dataclass(frozen=True)
class Marks:
    """What is outlined on a map: boxes around what it shows, and where the object is."""

    boxes: Loops = ()
    truth: Loops = ()

    @property
    def of_picture(self) -> Marks:
        """What is outlined on the picture itself: the object alone, as no map speaks there."""
        return replace(self, boxes=())


UNMARKED = Marks()


def marked(image: NDArray[np.uint8], marks: Marks) -> NDArray[np.uint8]:
    """A picture `h w 3` with its marks, on a copy; the lines grow with the picture."""
    if marks == UNMARKED:
        return image
    height, width = image.shape[:2]
    drawn, unit = Image.fromarray(image), max(1.0, max(height, width) * THINNEST)
    pen = ImageDraw.Draw(drawn)
    for loop in marks.truth:
        around = _inside(np.array([*loop, loop[0]]), (width, height), 2 * unit)
        pen.line([tuple(point) for point in around.tolist()], BLACK, round(3.5 * unit), "curve")
        for dash in _dashes(around, unit):
            pen.line([tuple(point) for point in dash.tolist()], GREEN, max(1, round(1.5 * unit)), "curve")
    thick = max(1, round(unit))
    for loop in marks.boxes:
        (left, top), (right, bottom) = (corner * (width, height) for corner in (np.array(loop[0]), np.array(loop[2])))
        for further, colour, wide in ((thick, BLACK, 4 * thick), (0, WHITE, 2 * thick)):
            corners = (left - further, top - further, right - 1 + further, bottom - 1 + further)
            pen.rectangle(corners, outline=colour, width=wide)
    return np.asarray(drawn)


def mark_axes(axis: Axes, marks: Marks, shape: tuple[int, ...]) -> None:
    """The marks in the axes of a picture of this shape."""
    styles = (
        (marks.truth, (("black", 2.6, "-"), ("#4dff4d", 1.2, (0, (4.7, 3.3))))),
        (marks.boxes, (("black", 3.0, "-"), ("white", 1.5, "-"))),
    )
    for loops, lines in styles:
        for points in (np.array(loop) * (shape[1], shape[0]) - 0.5 for loop in loops):
            for colour, wide, line in lines:
                patch = part_of_matplotlib("patches").Polygon(
                    points, fill=False, edgecolor=colour, linewidth=wide, linestyle=line, joinstyle="miter"
                )
                axis.add_patch(patch)


def tell_marks(figure: Figure, marks: Sequence[Marks]) -> None:
    """One line below the figure that says what is outlined; nothing where nothing is."""
    boxes, truth = any(one.boxes for one in marks), any(one.truth for one in marks)
    words = [text for text, there in ((BOXES, boxes), (TRUTH, truth)) if there]
    if words:
        figure.supxlabel("; ".join(words), fontsize=8)


def _inside(points: NDArray, size: tuple[int, int], margin: float) -> NDArray:
    """Points in parts of a (width, height) as pixels, kept off the border, which would cut the line in half."""
    sides = np.array(size, np.float64)
    return np.clip(points * sides - 0.5, np.minimum(margin, sides / 2), np.maximum(sides - 1 - margin, sides / 2))


def _dashes(around: NDArray, unit: float) -> Iterator[NDArray]:
    """The pieces `n 2` of a line `m 2` that are drawn."""
    along = np.r_[0, np.hypot(*np.diff(around, axis=0).T).cumsum()]
    for start in np.arange(0, along[-1], (DASH + BREAK) * unit):
        end = min(start + DASH * unit, along[-1])
        at = np.r_[start, along[(along > start) & (along < end)], end]
        yield np.stack([np.interp(at, along, around[:, axis]) for axis in (0, 1)], 1)
