"""Where the scenes happen: grass, snow, sand and indoors, and the clutter that stands in front of the figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from sightline.demo.painter import BACKGROUND, WHITE, Canvas, Colour, circle, hsv, shade, smooth


def gradient(canvas: Canvas, top: Colour, bottom: Colour) -> None:
    """Fill the canvas from `top` to `bottom`."""
    column = np.array([[top], [bottom]], dtype=np.uint8)
    canvas.colours.paste(Image.fromarray(column).resize((canvas.size, canvas.size), Image.Resampling.BILINEAR))


def ridge(canvas: Canvas, generator: np.random.Generator, height: float, rough: float, colour: Colour) -> None:
    """Ground below a rolling line at about `height` (share of the canvas, 0 is the top)."""
    xs = np.linspace(-0.1, 1.1, 7)
    line = smooth([(float(x), float(height + rough * generator.uniform(-1, 1))) for x in xs], closed=False)
    canvas.fill(BACKGROUND, np.concatenate([line, [(1.1, 1.1), (-0.1, 1.1)]]) * canvas.size, colour)


def spots(generator: np.random.Generator, many: int, top: float) -> np.ndarray:
    """Places on the ground (x, y, size) from far to near; the size grows towards the viewer."""
    y = np.sort(top + (1.02 - top) * generator.random(many))
    return np.stack([generator.uniform(-0.02, 1.02, many), y, 0.4 + (y - top) / (1.02 - top)], axis=1)


def disc(
    canvas: Canvas, x: float, y: float, radii: tuple[float, float], colour: Colour, owner: str = BACKGROUND
) -> None:
    """An ellipse in shares of the canvas."""
    canvas.fill(owner, circle((x, y), radii) * canvas.size, colour)


def clouds(canvas: Canvas, generator: np.random.Generator, below: float) -> None:
    """Up to two clouds above the line `below`."""
    for _ in range(generator.integers(0, 3)):
        x, y = generator.random(), generator.uniform(0.06, max(below - 0.12, 0.1))
        for dx, r in ((-0.07, 0.035), (0.0, 0.055), (0.07, 0.04)):
            disc(canvas, x + dx, y, (1.3 * r, r), (246, 249, 252))


def grass(canvas: Canvas, generator: np.random.Generator) -> Colour:
    horizon = generator.uniform(0.3, 0.55)
    sky = hsv(generator.uniform(0.53, 0.6), generator.uniform(0.2, 0.5), generator.uniform(0.88, 0.98))
    green = hsv(generator.uniform(0.22, 0.36), generator.uniform(0.42, 0.62), generator.uniform(0.55, 0.78))
    gradient(canvas, sky, shade(sky, 0.6))
    clouds(canvas, generator, horizon)
    ridge(canvas, generator, horizon - 0.05, 0.05, shade(green, 0.35))
    ridge(canvas, generator, horizon + 0.04, 0.03, green)
    for x, y, size in spots(generator, 70, horizon + 0.08):
        blade = np.array(
            [(-0.012, 0.0), (-0.02, -0.035), (0.0, -0.01), (0.003, -0.05), (0.008, -0.01), (0.024, -0.03), (0.014, 0)]
        )
        tone = shade(green, generator.choice([-0.18, -0.1, 0.14]))
        canvas.fill(BACKGROUND, (blade * size + (x, y)) * canvas.size, tone)
    petals = hsv(generator.random(), generator.uniform(0.1, 0.6), 0.97)
    for x, y, size in spots(generator, int(generator.integers(0, 12)), horizon + 0.1):
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            disc(canvas, x + 0.008 * dx * size, y + 0.008 * dy * size, (0.008 * size, 0.008 * size), petals)
        disc(canvas, x, y, (0.006 * size, 0.006 * size), (250, 205, 70))
    return green


def snow(canvas: Canvas, generator: np.random.Generator) -> Colour:
    horizon = generator.uniform(0.3, 0.55)
    sky = hsv(generator.uniform(0.55, 0.66), generator.uniform(0.12, 0.4), generator.uniform(0.72, 0.92))
    white = hsv(generator.uniform(0.53, 0.62), generator.uniform(0.02, 0.07), generator.uniform(0.93, 0.98))
    gradient(canvas, sky, shade(sky, 0.55))
    ridge(canvas, generator, horizon - 0.06, 0.06, shade(white, -0.12))
    needle = hsv(generator.uniform(0.38, 0.48), 0.4, generator.uniform(0.35, 0.5))
    for x in generator.random(generator.integers(1, 5)):
        tall, foot = generator.uniform(0.14, 0.28), horizon + 0.05
        for level, wide in ((0.0, 0.42), (0.28, 0.32), (0.52, 0.22)):
            corners = [(x - wide * tall, foot - level * tall), (x + wide * tall, foot - level * tall)]
            top = (x, foot - (level + 0.48) * tall)
            canvas.fill(BACKGROUND, np.array([*corners, top]) * canvas.size, needle)
            cap = [((c[0] + 1.6 * top[0]) / 2.6, (c[1] + 1.6 * top[1]) / 2.6) for c in corners]
            canvas.fill(BACKGROUND, np.array([*cap, top]) * canvas.size, white)
    ridge(canvas, generator, horizon + 0.04, 0.03, white)
    for x, y, size in spots(generator, 12, horizon + 0.1):
        disc(canvas, x, y + 0.012 * size, (0.1 * size, 0.02 * size), shade(white, -0.08))
        disc(canvas, x, y, (0.1 * size, 0.018 * size), white)
    for x, y in generator.random((36, 2)):
        radius = generator.uniform(0.004, 0.009)
        disc(canvas, x, y, (radius, radius), (255, 255, 255))
    return white


def sand(canvas: Canvas, generator: np.random.Generator) -> Colour:
    horizon = generator.uniform(0.26, 0.45)
    sky = hsv(generator.uniform(0.5, 0.58), generator.uniform(0.2, 0.45), generator.uniform(0.88, 0.98))
    sea = hsv(generator.uniform(0.48, 0.58), generator.uniform(0.45, 0.65), generator.uniform(0.6, 0.8))
    beige = hsv(generator.uniform(0.09, 0.13), generator.uniform(0.25, 0.42), generator.uniform(0.84, 0.95))
    gradient(canvas, sky, shade(sky, 0.5))
    disc(canvas, generator.random(), horizon - 0.17, (0.06, 0.06), (255, 236, 160))
    clouds(canvas, generator, horizon)
    ridge(canvas, generator, horizon, 0.0, sea)
    for x, y in generator.random((10, 2)):
        disc(canvas, x, horizon + 0.02 + 0.09 * y, (0.05, 0.004), shade(sea, 0.4))
    ridge(canvas, generator, horizon + 0.13, 0.012, shade(beige, 0.5))
    ridge(canvas, generator, horizon + 0.15, 0.012, beige)
    for x, y, size in spots(generator, 26, horizon + 0.2):
        wave = smooth([(-0.09, 0.0), (-0.03, -0.008), (0.03, 0.006), (0.09, 0.0)], closed=False)
        band = np.concatenate([wave, (wave + np.array([0.0, 0.009]))[::-1]]) * size + (x, y)
        canvas.fill(BACKGROUND, band * canvas.size, shade(beige, generator.choice([-0.12, 0.25])))
    for x, y, size in spots(generator, int(generator.integers(3, 14)), horizon + 0.2):
        disc(canvas, x, y, (0.013 * size, 0.009 * size), shade(beige, generator.uniform(-0.4, -0.2)))
    return beige


def indoor(canvas: Canvas, generator: np.random.Generator) -> Colour:
    horizon = generator.uniform(0.48, 0.66)
    wall = hsv(generator.random(), generator.uniform(0.1, 0.32), generator.uniform(0.72, 0.95))
    wood = hsv(generator.uniform(0.04, 0.1), generator.uniform(0.3, 0.55), generator.uniform(0.5, 0.78))
    gradient(canvas, wall, shade(wall, -0.08))
    pattern, pitch = generator.integers(3), generator.uniform(0.07, 0.12)
    for column, x in enumerate(np.arange(0.0, 1.1, pitch)):
        if pattern == 0:
            box = np.array([(x, 0), (x + 0.45 * pitch, 0), (x + 0.45 * pitch, horizon), (x, horizon)])
            canvas.fill(BACKGROUND, box * canvas.size, shade(wall, 0.3))
        if pattern == 1:
            for y in np.arange(0.02 + 0.5 * pitch * (column % 2), horizon, pitch):
                disc(canvas, x, y, (0.013, 0.013), shade(wall, -0.18))
    x, y, half = generator.uniform(0.12, 0.88), generator.uniform(0.1, 0.24), generator.uniform(0.09, 0.13)
    for inset, colour in ((0.0, shade(wood, -0.3)), (0.02, hsv(generator.random(), 0.3, 0.9))):
        reach = half - inset
        box = np.array([(x - reach, y - reach), (x + reach, y - reach), (x + reach, y + reach), (x - reach, y + reach)])
        canvas.fill(BACKGROUND, box * canvas.size, colour)
    for top, colour in ((horizon - 0.03, WHITE), (horizon, wood)):
        canvas.fill(BACKGROUND, np.array([(0, top), (1, top), (1, 1), (0, 1)]) * canvas.size, colour)
    centre = generator.random()
    for edge in np.arange(-1.0, 2.0, 0.16):
        board = np.array([(centre + (edge - centre) * 0.5, horizon), (edge, 1.0), (edge + 0.012, 1.0)])
        canvas.fill(BACKGROUND, board * canvas.size, shade(wood, -0.2))
    if generator.random() < 0.6:
        rug = hsv(generator.random(), generator.uniform(0.3, 0.55), generator.uniform(0.6, 0.85))
        for reach, colour in ((1.0, rug), (0.85, shade(rug, 0.35)), (0.74, rug)):
            disc(canvas, 0.5, 0.5 * (horizon + 1.04), (0.46 * reach, 0.5 * (1.0 - horizon) * 0.9 * reach), colour)
        return rug
    return wood


Ground = Callable[[Canvas, np.random.Generator], Colour]
GROUNDS: dict[str, Ground] = {"grass": grass, "snow": snow, "sand": sand, "indoor": indoor}


def clutter(canvas: Canvas, generator: np.random.Generator, background: str, ground: Colour) -> None:
    """Up to two things in front: a bush, a heap of snow, stones or a plant pot, by the background."""
    for _ in range(generator.choice([0, 1, 2], p=[0.45, 0.35, 0.2])):
        x, y, r = generator.uniform(0.02, 0.98), generator.uniform(0.9, 1.02), generator.uniform(0.05, 0.1)
        if background == "grass":
            leaf = shade(ground, generator.uniform(-0.4, -0.2))
            for dx, dy, tone in ((-0.8, 0.1, -0.1), (0.8, 0.1, -0.1), (0.0, -0.3, 0.0), (-0.3, -0.1, 0.12)):
                disc(canvas, x + dx * r, y + dy * r, (0.75 * r, 0.75 * r), shade(leaf, tone), "clutter")
        elif background == "snow":
            disc(canvas, x, y + 0.5 * r, (1.6 * r, r), shade(ground, -0.13), "clutter")
            disc(canvas, x - 0.1 * r, y + 0.42 * r, (1.45 * r, 0.88 * r), ground, "clutter")
        elif background == "sand":
            stone = hsv(0.08, generator.uniform(0.05, 0.2), generator.uniform(0.45, 0.65))
            disc(canvas, x, y, (1.2 * r, 0.7 * r), stone, "clutter")
            disc(canvas, x - 0.25 * r, y - 0.2 * r, (0.7 * r, 0.35 * r), shade(stone, 0.2), "clutter")
        else:
            leaf = hsv(generator.uniform(0.28, 0.4), 0.5, generator.uniform(0.4, 0.6))
            for dx, dy in ((-0.7, -1.5), (0.7, -1.5), (0.0, -2.0), (-0.4, -1.0), (0.4, -1.0)):
                disc(canvas, x + 0.8 * dx * r, y + 0.8 * dy * r, (0.42 * r, 0.62 * r), leaf, "clutter")
            pot = np.array([(x - r, y - 0.6 * r), (x + r, y - 0.6 * r), (x + 0.7 * r, y + r), (x - 0.7 * r, y + r)])
            canvas.fill("clutter", pot * canvas.size, hsv(0.04, 0.6, generator.uniform(0.55, 0.8)))
