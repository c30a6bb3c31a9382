"""Curves of deletion and insertion as SVG text to stand in a page: no script, no identifiers, every name escaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.errors import NonFiniteError, UsageError
from sightline.pictures.scale import number

PALETTE = ("#0b5fc4", "#d1495b", "#2a9d5c", "#e08e0b", "#7b4fb5", "#12909c", "#8a5a2b", "#5c6670")
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 12, 40
LEGEND_LINE = 18
QUIET = "currentColor"


class Curve(NamedTuple):
    """One curve: its name, points `n` and `n`, and the value to print beside the name (None for none)."""

    name: str
    x: ArrayLike
    y: ArrayLike
    value: float | None = None


class Frame(NamedTuple):
    """Where numbers lie on the paper: the plot's corners in pixels, and the numbers at its ends."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Points `n 2` in pixels."""
        across = self.left + (np.asarray(x) - self.x[0]) / (self.x[1] - self.x[0]) * (self.right - self.left)
        down = self.bottom - (np.asarray(y) - self.y[0]) / (self.y[1] - self.y[0]) * (self.bottom - self.top)
        return np.stack([across, down], axis=1)


def curve_svg(
    curves: Sequence[Curve | tuple[str, ArrayLike, ArrayLike, float | None]],
    width: int = 460,
    height: int = 280,
    x_label: str = "share of the picture changed",
    y_label: str = "score",
) -> str:
    """Curves with axes, numbers, a legend, and the area under each shaded, as one `<svg>`.

    Axes hold 0 to 1 and go beyond it only where the points do. Text takes the colour of the page. Raises `UsageError`
    for no curve or for points that do not pair, `NonFiniteError` for NaN or infinity.
    """
    drawn = [_checked(Curve(*curve)) for curve in curves]
    if not drawn:
        raise UsageError("there is no curve to draw")
    legend = LEGEND_LINE * len(drawn)
    frame = Frame(LEFT, TOP, width - RIGHT, height - BOTTOM, _ends([c.x for c in drawn]), _ends([c.y for c in drawn]))
    names = ", ".join(_legend_text(curve) for curve in drawn)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + legend}" width="{width}" '
        f'height="{height + legend}" role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{safe(names)}</title>",
        *_axes(frame, x_label, y_label),
    ]
    for index, curve in enumerate(drawn):
        colour = PALETTE[index % len(PALETTE)]
        parts += [*_curve(frame, curve, colour), *_legend(curve, colour, height + LEGEND_LINE * index)]
    return "\n".join([*parts, "</svg>"])


def _checked(curve: Curve) -> Curve:
    x, y = np.asarray(curve.x, dtype=np.float64), np.asarray(curve.y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise UsageError(f"curve {curve.name!r}: {x.shape} and {y.shape} points came; two or more that pair are needed")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise NonFiniteError(f"curve {curve.name!r} holds NaN or infinity")
    return Curve(curve.name, x, y, curve.value)


def _ends(arrays: Sequence[ArrayLike]) -> tuple[float, float]:
    """0 to 1, widened to round numbers where the points leave it."""
    low, high = min(np.min(a) for a in arrays), max(np.max(a) for a in arrays)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    low, high = min(low, 0.0), max(high, 0.0)
    step = 10.0 ** np.floor(np.log10(high - low)) / 2
    return float(np.floor(low / step) * step), float(np.ceil(high / step) * step)


def _axes(frame: Frame, x_label: str, y_label: str) -> list[str]:
    parts = []
    for value in np.linspace(*frame.y, 5):
        (_, y), *_ = frame.place([frame.x[0]], [value])
        parts.append(f'<path d="M{frame.left} {y:.1f}H{frame.right}" stroke="{QUIET}" stroke-opacity="0.15"/>')
        parts.append(text(frame.left - 6, y + 4, number(value), "end"))
    for value in np.linspace(*frame.x, 5):
        (x, _), *_ = frame.place([value], [frame.y[0]])
        parts.append(text(x, frame.bottom + 16, number(value), "middle"))
    parts.append(text((frame.left + frame.right) / 2, frame.bottom + 33, x_label, "middle"))
    middle = (frame.top + frame.bottom) / 2
    parts.append(text(12, middle, y_label, "middle", f' transform="rotate(-90 12 {middle:.1f})"'))
    corner = f"M{frame.left} {frame.top}V{frame.bottom}H{frame.right}"
    return [*parts, f'<path d="{corner}" fill="none" stroke="{QUIET}" stroke-opacity="0.5"/>']


def _curve(frame: Frame, curve: Curve, colour: str) -> list[str]:
    points = frame.place(curve.x, curve.y)
    floor = frame.place([np.asarray(curve.x)[0]], [max(0.0, frame.y[0])])[0, 1]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    area = f"{points[0, 0]:.1f},{floor:.1f} {line} {points[-1, 0]:.1f},{floor:.1f}"
    return [
        f'<polygon points="{area}" fill="{colour}" fill-opacity="0.12"/>',
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>',
    ]


def _legend(curve: Curve, colour: str, top: float) -> list[str]:
    y = top + LEGEND_LINE / 2
    return [
        f'<line x1="{LEFT}" x2="{LEFT + 18}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>',
        text(LEFT + 26, y + 4, _legend_text(curve), "start"),
    ]


def _legend_text(curve: Curve) -> str:
    return curve.name if curve.value is None else f"{curve.name}: {number(curve.value)}"


def text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{QUIET}"{more}>{safe(text)}</text>'


def safe(text: str) -> str:
    """Escaped, and without the control characters that no XML may hold."""
    return escape("".join(character if character.isprintable() else " " for character in text))
