"""Values against cost as SVG text to stand in a page: who is worth its passes. No script, every name escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sightline.errors import NonFiniteError, UsageError
from sightline.pictures.curves import QUIET, Frame, safe, text
from sightline.pictures.scale import number

LEFT, RIGHT, TOP, BOTTOM = 62, 150, 14, 44
FRONT, OTHER, CHANCE = "#0b5fc4", "#8a929a", "#d1495b"
LINE = 13
"""Pixels between two names."""
SHORT = 26
"""Letters of a name that are written beside its point."""


class Point(NamedTuple):
    """One method.

    Attributes:
        name: written beside its point where it is on the front.
        cost: above 0, drawn on a logarithmic axis.
        value: of the metric.
        low, high: the ends of its interval, None for none.
        front: whether no other is better at the same cost, nor cheaper at the same value.
    """

    name: str
    cost: float
    value: float
    low: float | None = None
    high: float | None = None
    front: bool = False


def scatter_svg(
    points: Sequence[Point],
    *,
    chance: tuple[str, float] | None = None,
    x_label: str = "passes for a picture",
    y_label: str = "value",
    width: int = 560,
    height: int = 320,
) -> str:
    """Points with their intervals on a logarithmic axis of cost, the front drawn as a line, chance as a dashed one.

    Raises `UsageError` for no point or a cost of 0, `NonFiniteError` for NaN or infinity.
    """
    _check(points)
    ends = [one for p in points for one in (p.value, p.low, p.high) if one is not None]
    ends += [] if chance is None else [chance[1]]
    x, y = _decades([point.cost for point in points]), _room(min(ends), max(ends))
    frame = Frame(LEFT, TOP, width - RIGHT, height - BOTTOM, x, y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{safe(y_label)} against {safe(x_label)}</title>",
        *_axes(frame, x_label, y_label),
    ]
    if chance is not None:
        (_, level), *_ = frame.place([x[0]], [chance[1]])
        parts.append(
            f'<path d="M{frame.left} {level:.1f}H{frame.right}" stroke="{CHANCE}" stroke-dasharray="5 4" fill="none"/>'
        )
    front = sorted((point for point in points if point.front), key=lambda point: point.cost)
    if len(front) > 1:
        corners = frame.place([math.log10(p.cost) for p in front], [p.value for p in front])
        line = " ".join(f"{across:.1f},{down:.1f}" for across, down in corners)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{FRONT}" stroke-opacity="0.5"/>')
    for point in sorted(points, key=lambda point: point.front):
        parts += _point(frame, point)
    return "\n".join([*parts, *_names(frame, front, chance), "</svg>"])


def _check(points: Sequence[Point]) -> None:
    if not points:
        raise UsageError("there is no point to draw")
    for point in points:
        numbers = [one for one in point[1:5] if one is not None]
        if not all(map(math.isfinite, numbers)):
            raise NonFiniteError(f"{point.name!r} has a value or a cost that is NaN or infinite")
        if point.cost <= 0:
            raise UsageError(f"{point.name!r} has a cost of {point.cost}: a logarithmic axis needs more than 0")


def _decades(costs: Sequence[float]) -> tuple[float, float]:
    """The axis of cost, from one power of ten to another."""
    low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
    return float(low), float(max(high, low + 1))


def _room(low: float, high: float) -> tuple[float, float]:
    """The axis of values between round numbers, from 0 where that is near."""
    step = _step(low, high)
    bottom = 0.0 if 0 <= low <= (high - low or high) else math.floor(low / step + 1e-9) * step
    return bottom, bottom + math.ceil((high - bottom) / step - 1e-9) * step


def _step(low: float, high: float) -> float:
    """A round number, of which four or five span the values."""
    span = high - low if low < 0 or low > high - low else high
    rough = (span or abs(high) or 1.0) / 4
    ten = 10.0 ** math.floor(math.log10(rough))
    return next(ten * times for times in (1, 2, 2.5, 5, 10) if ten * times >= rough * 0.999)


def _axes(frame: Frame, x_label: str, y_label: str) -> list[str]:
    parts = []
    step = _step(*frame.y)
    for place in range(math.floor((frame.y[1] - frame.y[0]) / step + 1e-9) + 1):
        value = frame.y[0] + place * step
        (_, y), *_ = frame.place([frame.x[0]], [value])
        parts.append(f'<path d="M{frame.left} {y:.1f}H{frame.right}" stroke="{QUIET}" stroke-opacity="0.15"/>')
        parts.append(text(frame.left - 6, y + 4, number(value), "end"))
    for power in range(round(frame.x[0]), round(frame.x[1]) + 1):
        (x, _), *_ = frame.place([power], [frame.y[0]])
        parts.append(text(x, frame.bottom + 16, f"{10.0**power:,.0f}", "middle"))
    parts.append(text((frame.left + frame.right) / 2, frame.bottom + 34, x_label, "middle"))
    middle = (frame.top + frame.bottom) / 2
    parts.append(text(12, middle, y_label, "middle", f' transform="rotate(-90 12 {middle:.1f})"'))
    corner = f"M{frame.left} {frame.top}V{frame.bottom}H{frame.right}"
    return [*parts, f'<path d="{corner}" fill="none" stroke="{QUIET}" stroke-opacity="0.5"/>']


def _point(frame: Frame, point: Point) -> list[str]:
    colour = FRONT if point.front else OTHER
    (x, y), *_ = frame.place([math.log10(point.cost)], [point.value])
    parts = []
    if point.low is not None and point.high is not None:
        (_, low), *_ = frame.place([0], [point.low])
        (_, high), *_ = frame.place([0], [point.high])
        parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" stroke-opacity="0.35"/>')
    said = f"{point.name}: {number(point.value)} at {point.cost:,.0f}"
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{5 if point.front else 3.5}" fill="{colour}">'
    return [*parts, f"{circle}<title>{safe(said)}</title></circle>"]


def _names(frame: Frame, front: Sequence[Point], chance: tuple[str, float] | None) -> list[str]:
    """The names of the front and of chance on the right, each at the height of its value, none upon another."""
    wanted = [(*_place(frame, point), point.name, FRONT) for point in front]
    if chance is not None:
        (_, level), *_ = frame.place([0], [chance[1]])
        wanted.append((frame.right, float(level), chance[0], CHANCE))
    wanted.sort(key=lambda one: one[1])
    parts = []
    for (x, y, name, colour), level in zip(wanted, _levels(frame, [one[1] for one in wanted]), strict=True):
        short = name if len(name) <= SHORT else name[: SHORT - 1] + "…"
        parts.append(
            f'<path d="M{x + 7:.1f} {y:.1f}L{frame.right + 4} {level:.1f}" stroke="{colour}" stroke-opacity="0.25"/>'
        )
        parts.append(
            f'<text x="{frame.right + 8}" y="{level + 4:.1f}" font-size="11" fill="{colour}">{safe(short)}</text>'
        )
    return parts


def _levels(frame: Frame, heights: Sequence[float]) -> list[float]:
    """Heights from above to below, a line apart, above the axis' own words where there is room for all."""
    levels, last = list[float](), float("-inf")
    for height in heights:
        last = max(height, last + LINE)
        levels.append(last)
    lowest = float(frame.bottom)
    for place in reversed(range(len(levels))):
        lowest = levels[place] = min(levels[place], lowest)
        lowest -= LINE
    return levels


def _place(frame: Frame, point: Point) -> tuple[float, float]:
    (x, y), *_ = frame.place([math.log10(point.cost)], [point.value])
    return float(x), float(y)
