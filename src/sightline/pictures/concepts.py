"""The figure of concepts: which one is strongest where, each by itself with its classes, and what each matters.

Every concept has one colour throughout. Arrays in, a matplotlib figure out.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.errors import UsageError
from sightline.pictures.axes import empty, show
from sightline.pictures.overlay import as_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
MOST_SHOWN = 9
COLOURS = (
    (0.90, 0.29, 0.22), (0.16, 0.50, 0.73), (0.95, 0.70, 0.10), (0.18, 0.63, 0.37), (0.56, 0.35, 0.70),
    (0.93, 0.51, 0.19), (0.10, 0.70, 0.72), (0.86, 0.42, 0.66), (0.55, 0.42, 0.30), (0.45, 0.52, 0.58),
)  # fmt: skip
"""One a concept, told apart also without much colour vision by their lightness; they begin anew after the last."""
MOST_ROWS, MOST_EXAMPLES = 6, 7
_LETTERS = 34
_NARROW = 24
_SMALL = 1.5  # inches
_PALE = 0.72  # how much white covers what a concept is not at
_MOST_NAMED, _WORTH_NAMING = 2, 0.1
_FAINT, _FULL = 0.25, 0.75  # cover of a segment where its concept is weakest and strongest


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """What the figure of one picture shows.

    Attributes:
        picture: `h w 3` uint8, what the network saw.
        strengths: `r h w`, of each concept at each pixel, ≥ 0.
        effects: `r`, what each matters.
        classes: what the network calls each concept, in words.
        effect: what the effects are, in words.
        title: above it all.
    """

    picture: NDArray[np.uint8]
    strengths: NDArray
    effects: NDArray
    classes: tuple[str, ...]
    effect: str
    title: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """What the figure of a set of pictures shows of one concept.

    Attributes:
        place: its number, from 0.
        classes: what the network calls it, in words.
        effect: what it matters on average; `measure` says of what.
        pictures: `h w 3` uint8, where it is strongest, the strongest first.
    """

    place: int
    classes: str
    effect: float
    measure: str
    pictures: tuple[NDArray[np.uint8], ...]


def concepts_figure(parts: Parts) -> Figure:
    """The picture, its segments, the effects as bars, and each concept by itself (of many those that matter most).

    Raises `MissingExtraError` without matplotlib, `UsageError` where shapes differ.
    """
    picture, concepts = as_picture(parts.picture), len(parts.strengths)
    if parts.strengths.shape[1:] != picture.shape[:2] or not len(parts.effects) == len(parts.classes) == concepts:
        raise UsageError(
            f"a picture {picture.shape[:2]} came with concepts {parts.strengths.shape}, {len(parts.effects)} effects "
            f"and {len(parts.classes)} texts: give one of each a concept, in the frame of the picture"
        )
    shown = sorted(np.argsort(-np.abs(parts.effects), kind="stable")[:MOST_SHOWN].tolist())
    columns = min(COLUMNS, len(shown) + 3)
    figure, axes = empty(-(-(len(shown) + 3) // columns), columns, picture.shape, parts.title)
    show(axes[0], picture, "picture")
    show(axes[1], segments(picture, parts.strengths), "strongest concept")
    _bars(axes[2], parts)
    for axis, place in zip(axes[3:], shown, strict=False):
        show(axis, spotlight(picture, parts.strengths[place]), "")
        _named(axis, place, parts.classes[place])
    return figure


def bank_figure(rows: Sequence[Row]) -> Figure:
    """One row a concept: what it is called and what it matters, and where it is strongest.

    Raises `MissingExtraError` without matplotlib, `UsageError` for no row or a row without pictures.
    """
    shapes = [row.pictures[0].shape for row in rows if row.pictures]
    if not shapes or len(shapes) < len(rows):
        raise UsageError("a figure of concepts needs a concept, and a picture of each")
    columns = 1 + max(len(row.pictures) for row in rows)
    figure, axes = empty(len(rows), columns, shapes[0], f"Concepts: {rows[0].measure}", _SMALL)
    for number, row in enumerate(rows):
        mine = axes[number * columns : (number + 1) * columns]
        _describe(mine[0], row)
        for axis, picture in zip(mine[1:], row.pictures, strict=False):
            show(axis, picture, "")
            _frame(axis, row.place)
    return figure


def colour_of(place: int) -> tuple[float, float, float]:
    """The colour of a concept by its place, red, green, blue in 0 to 1."""
    return COLOURS[place % len(COLOURS)]


def segments(picture: NDArray[np.uint8], strengths: NDArray) -> NDArray[np.uint8]:
    """The picture under the colours of the concept that is strongest at each pixel, denser where it is stronger.

    `strengths` `r h w`, in units that concepts share. Where none is, the picture stays as it is.
    """
    best = strengths.argmax(0)
    strongest = strengths.max((1, 2))
    strong = np.take_along_axis(strengths, best[None], 0)[0]
    share = strong / np.maximum(strongest, 1e-30)[best]
    cover = np.where(strong > 0, _FAINT + (_FULL - _FAINT) * share, 0)[..., None]
    colours = 255 * np.array([colour_of(place) for place in range(len(strengths))])[best]
    drawn = picture + cover * (colours - picture)
    drawn[_borders(best)] = 255
    return np.rint(drawn).astype(np.uint8)


def spotlight(picture: NDArray[np.uint8], strength: NDArray, most: float | None = None) -> NDArray[np.uint8]:
    """The picture as it is where a concept `h w` is strong, grey and pale where it is not.

    `most`: what is as strong as can be; the largest of the picture when left out.
    """
    most = float(strength.max()) if most is None else most
    light = (np.clip(strength / most, 0, 1) if most > 0 else np.zeros_like(strength))[..., None]
    pale = picture.mean(2, keepdims=True) * (1 - _PALE) + 255 * _PALE
    return np.rint(light * picture + (1 - light) * pale).astype(np.uint8)


def in_words(names: Sequence[str], probabilities: Sequence[float]) -> str:
    """A concept's classes in words, those worth naming: `boxer 0.96`, `tusker 0.51, Indian elephant 0.40`."""
    said = [
        f"{name.split(',')[0]} {probability:.2f}"
        for place, (name, probability) in enumerate(zip(names, probabilities, strict=True))
        if place == 0 or (place < _MOST_NAMED and probability >= _WORTH_NAMING)
    ]
    return ", ".join(said)


def _borders(labels: NDArray) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbour has another label."""
    found = np.zeros(labels.shape, bool)
    found[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    found[:-1] |= labels[:-1] != labels[1:]
    return found


def _named(axis: Axes, place: int, classes: str) -> None:
    _frame(axis, place)
    said = textwrap.wrap(classes, _LETTERS)[:2]
    axis.set_title("\n".join([f"concept {place + 1}", *said]), fontsize=9).set_parse_math(False)


def _frame(axis: Axes, place: int) -> None:
    axis.set_axis_on()
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(color=colour_of(place), linewidth=3)


def _describe(axis: Axes, row: Row) -> None:
    """The words at the head of a row, right up to its pictures."""
    lines = [f"concept {row.place + 1}", *row.classes.split(", "), f"{row.effect:+.2g}"]
    for number, line in enumerate(lines):
        first, last = number == 0, number == len(lines) - 1
        text = axis.text(
            0.95,
            0.5 + 0.15 * ((len(lines) - 1) / 2 - number),
            line[:_NARROW],
            transform=axis.transAxes,
            ha="right",
            va="center",
            fontsize=10 if first or last else 8,
            color=colour_of(row.place) if first else "0.15",
            weight="bold" if first else "normal",
        )
        text.set_parse_math(False)


def _bars(axis: Axes, parts: Parts) -> None:
    axis.set_axis_on()
    places = np.arange(len(parts.effects))
    axis.barh(places, parts.effects, color=[colour_of(int(place)) for place in places], height=0.7)
    axis.axvline(0, color="0.4", linewidth=0.8)
    low, high = min(0.0, float(parts.effects.min())), max(0.0, float(parts.effects.max()))
    room = 0.22 * ((high - low) or 1.0)
    axis.set(ylim=(len(places) - 0.4, -0.6), xlim=(low - room * (low < 0), high + room), xticks=[])
    axis.set_yticks(places, labels=[str(place + 1) for place in places], fontsize=8)
    digits = max(0, 1 - math.floor(math.log10(high - low))) if high > low else 0  # two of the largest
    for place, effect in enumerate(parts.effects):
        text = axis.annotate(
            f"{effect:.{digits}f}", (float(effect), place), fontsize=8,
            xytext=(3 if effect >= 0 else -3, 0), textcoords="offset points",
            ha="left" if effect >= 0 else "right", va="center",
        )  # fmt: skip
        text.set_in_layout(False)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_box_aspect(parts.picture.shape[0] / parts.picture.shape[1])
    axis.set_title(textwrap.fill(parts.effect, _LETTERS), fontsize=9).set_parse_math(False)
