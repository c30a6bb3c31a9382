"""Drawing with flat shapes, where every shape also writes down whose it is.

A `Canvas` holds two pictures of one size: the colours, and the number of the owner of every point (`dog/ear`,
`accessory`, `clutter`, `background`). Whatever is drawn later covers both, so the owners are right by construction.
A `Pen` draws for one owner in that owner's own frame: x to the right, y down, the figure fills about [-1, 1] × [-1, 1].
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

BLACK: Colour = (34, 32, 38)
WHITE: Colour = (250, 248, 244)
BACKGROUND = "background"


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue, saturation and value, each in [0, 1] (the hue wraps round)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return round(255 * red), round(255 * green), round(255 * blue)


def shade(colour: Colour, by: float) -> Colour:
    """The colour darker (by < 0, towards black) or lighter (by > 0, towards white); -1 and 1 are the ends."""
    end = 255 if by > 0 else 0
    red, green, blue = (round(part + abs(by) * (end - part)) for part in colour)
    return red, green, blue


@dataclass(frozen=True)
class Frame:
    """Where a figure stands: its centre and half-size in canvas points, its turn in degrees, mirrored or not."""

    x: float
    y: float
    scale: float
    turn: float = 0.0
    mirrored: bool = False

    def place(self, points: np.ndarray) -> np.ndarray:
        """Figure coordinates (n, 2) to canvas coordinates (n, 2)."""
        angle = math.radians(self.turn)
        x = -points[:, 0] if self.mirrored else points[:, 0]
        y = points[:, 1]
        turned = np.stack(
            [math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y], axis=1
        )
        return turned * self.scale + (self.x, self.y)


@dataclass
class Canvas:
    """Colours and owners of `size` × `size` points; `owners[i]` is the name that number i stands for.

    What is drawn for an owner in `without` leaves no trace: a part `dog/ear`, or `dog` with all its parts.
    """

    size: int
    owners: list[str] = field(default_factory=lambda: [BACKGROUND])
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.colours = Image.new("RGB", (self.size, self.size))
        self.numbers = Image.new("L", (self.size, self.size))
        self._draw_colours = ImageDraw.Draw(self.colours)
        self._draw_numbers = ImageDraw.Draw(self.numbers)

    def fill(self, owner: str, points: np.ndarray, colour: Colour) -> None:
        """Fill the polygon of the canvas coordinates `points` (n, 2)."""
        if owner not in self.owners:
            self.owners.append(owner)
        if owner in self.without or owner.split("/", maxsplit=1)[0] in self.without:
            return
        corners = [(float(x), float(y)) for x, y in points]
        self._draw_colours.polygon(corners, fill=colour)
        self._draw_numbers.polygon(corners, fill=self.owners.index(owner))


def smooth(points: Sequence[Point], closed: bool, steps: int = 8) -> np.ndarray:
    """The Catmull-Rom curve through `points`, as (n, 2) corners."""
    given = np.asarray(points, dtype=float)
    ends = (given[-1:], given[:2]) if closed else (given[:1], given[-1:])
    padded = np.concatenate([ends[0], given, ends[1]])
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None]
    before, start, end, after = padded[:-3, None], padded[1:-2, None], padded[2:-1, None], padded[3:, None]
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    corners = curve.reshape(-1, 2)
    return corners if closed else np.concatenate([corners, given[-1:]])


def circle(centre: Point, radii: Point, turn: float = 0.0) -> np.ndarray:
    """The corners (n, 2) of an ellipse, turned by `turn` degrees."""
    around = np.linspace(0.0, 2 * math.pi, 36, endpoint=False)
    angle = math.radians(turn)
    x, y = radii[0] * np.cos(around), radii[1] * np.sin(around)
    turned = [math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y]
    return np.stack(turned, axis=1) + centre


@dataclass(frozen=True)
class Pen:
    """Draws the parts of one figure; `owner` is the figure's name, and a part's owner is `owner/part`."""

    canvas: Canvas
    frame: Frame
    owner: str

    def area(self, part: str, points: np.ndarray | Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        name = f"{self.owner}/{part}" if part else self.owner
        self.canvas.fill(name, self.frame.place(np.asarray(points, dtype=float)), colour)

    def blob(self, part: str, points: Sequence[Point], colour: Colour) -> None:
        """A filled closed curve through the points."""
        self.area(part, smooth(points, closed=True), colour)

    def ellipse(self, part: str, centre: Point, radii: Point, colour: Colour, turn: float = 0.0) -> None:
        """A filled ellipse."""
        self.area(part, circle(centre, radii, turn), colour)

    def disc(self, part: str, centre: Point, radius: float, colour: Colour) -> None:
        """A filled circle."""
        self.area(part, circle(centre, (radius, radius)), colour)

    def stroke(self, part: str, points: Sequence[Point], width: float | Point, colour: Colour) -> None:
        """A curve through the points with round ends; a pair of widths runs from the first to the second."""
        path = smooth(points, closed=False) if len(points) > 2 else np.asarray(points, dtype=float)
        first, last = width if isinstance(width, tuple) else (width, width)
        half = np.linspace(first, last, len(path))[:, None] / 2
        along = np.gradient(path, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
        self.area(part, np.concatenate([path + half * across, (path - half * across)[::-1]]), colour)
        self.disc(part, (path[0, 0], path[0, 1]), first / 2, colour)
        self.disc(part, (path[-1, 0], path[-1, 1]), last / 2, colour)

    def ring(self, part: str, centre: Point, radius: float, width: float, colour: Colour) -> None:
        """A circle's line; what lies within it stays as it was."""
        around = circle(centre, (1.0, 1.0)) - np.asarray(centre)
        around = np.concatenate([around, around[:1]])
        inner, outer = radius - width / 2, radius + width / 2
        for start, end in pairwise(around):
            quad = np.stack([start * inner, start * outer, end * outer, end * inner]) + centre
            self.area(part, quad, colour)

    def eye(self, centre: Point, radius: float) -> None:
        """A dark eye with a glint."""
        self.disc("eye", centre, radius, BLACK)
        self.disc("eye", (centre[0] + 0.3 * radius, centre[1] - 0.35 * radius), 0.36 * radius, WHITE)
