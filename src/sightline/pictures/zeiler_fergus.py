"""Zeiler and Fergus' figure of one picture: what hiding each part does, and what the strongest feature map saw.

Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, figure 7, columns (a) to (e).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.pictures.axes import empty, show
from sightline.pictures.colours import SEQUENTIAL
from sightline.pictures.scale import Scale
from sightline.pictures.style import PLAIN, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 8
_BEYOND = 99.5  # percent: a few strong pixels would leave the rest of a projection grey
_LABELS = (
    (0.34, 0.60, 0.85), (0.95, 0.62, 0.25), (0.42, 0.70, 0.43), (0.86, 0.43, 0.45), (0.62, 0.50, 0.78),
    (0.68, 0.54, 0.46), (0.90, 0.60, 0.80), (0.80, 0.78, 0.40), (0.82, 0.82, 0.82),
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """What the figure shows; the windows' grid has r rows and c columns.

    Attributes:
        picture: `h w 3` uint8, what the network saw.
        activity: `r c`, of the strongest feature map with each part hidden.
        clean_activity: the same with nothing hidden.
        projection: `h w 3`, the strongest feature map back at the pixels, signed.
        probabilities: `r c`, of the class with each part hidden.
        clean_probability: with nothing hidden.
        names: `r c`, the class that wins with each part hidden.
        label: the class.
        feature_map: its number, and the layer, in words.
    """

    picture: NDArray[np.uint8]
    activity: NDArray
    clean_activity: float
    projection: NDArray
    probabilities: NDArray
    clean_probability: float
    names: NDArray
    label: str
    feature_map: str


def zeiler_fergus_figure(study: Study, *, style: Style = PLAIN) -> Figure:
    """Five pictures side by side: the picture, activity, projection, probability, and the winner's name.

    Raises `MissingExtraError` without matplotlib.
    """
    figure, axes = empty(1, 5, study.picture.shape, f"What hiding each part does to “{study.label}”")
    shape = study.picture.shape[:2]
    even = Style(colours=style.colours or SEQUENTIAL)
    show(axes[0], study.picture, "(a) picture")
    top = float(max(study.activity.max(), study.clean_activity, 1e-30))
    title = f"(b) activity of {study.feature_map}, {study.clean_activity:.3g} with nothing hidden"
    _grid(axes[1], study.activity, shape, title, Scale(0.0, top), even)
    show(axes[2], _relief(study.projection), "(c) its largest activation through the deconvnet")
    title = f"(d) probability, {study.clean_probability:.3g} with nothing hidden"
    _grid(axes[3], study.probabilities, shape, title, Scale(0.0, 1.0), even)
    _winners(axes[4], study.names, shape)
    return figure


def _grid(axis: Axes, values: NDArray, shape: tuple[int, ...], title: str, scale: Scale, style: Style) -> None:
    part = np.clip((values - scale.low) / (scale.high - scale.low), 0, 1)
    colours = style.table(scale)[np.rint(part * 255).astype(int)]
    show(axis, _enlarged(colours, shape), title, (scale, style))


def _winners(axis: Axes, names: NDArray, shape: tuple[int, ...]) -> None:
    """Each class that wins somewhere has a colour, the most frequent first; the rest share the last colour."""
    found, places, counts = np.unique(names.ravel(), return_inverse=True, return_counts=True)
    rank = np.empty(len(found), int)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(found))
    colours = np.rint(255 * np.asarray(_LABELS)).astype(np.uint8)
    drawn = colours[np.minimum(rank[places], MOST_NAMES)].reshape(*names.shape, 3)
    show(axis, _enlarged(drawn, shape), "(e) the class that wins")
    order = np.argsort(rank)
    lines = [str(found[place]).split(",")[0] for place in order[:MOST_NAMES]]
    lines += [f"{len(found) - MOST_NAMES} others"] if len(found) > MOST_NAMES else []
    for row, (line, colour) in enumerate(zip(lines, _LABELS, strict=False)):
        above = -0.07 * (row + 1)
        axis.text(0.0, above, "■", transform=axis.transAxes, color=colour, va="center", fontsize=9)
        axis.text(0.07, above, line[:32], transform=axis.transAxes, va="center", fontsize=8).set_parse_math(False)


def _enlarged(cells: NDArray, shape: tuple[int, ...]) -> NDArray:
    """Cells as large as the picture, each in its even part of it."""
    rows, columns = (np.arange(size) * cells.shape[axis] // size for axis, size in enumerate(shape))
    return cells[np.ix_(rows, columns)]


def _relief(projection: NDArray) -> NDArray[np.uint8]:
    """Signed colours around grey, as the paper draws them."""
    most = float(np.percentile(np.abs(projection), _BEYOND)) or 1.0
    return np.rint(255 * np.clip(0.5 + 0.5 * projection / most, 0, 1)).astype(np.uint8)
