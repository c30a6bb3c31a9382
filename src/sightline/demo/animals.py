"""The animals: each is drawn from named parts, in a pose and a coat that its generator chooses.

Every function draws with the pen and returns the `Neck` where a collar goes. Coats overlap between kinds on purpose:
what tells the kinds apart is their parts, not their colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.demo.painter import BLACK, WHITE, Colour, Pen, Point, hsv, shade

PINK: Colour = (240, 160, 160)
ORANGE: Colour = (244, 150, 50)


@dataclass(frozen=True)
class Neck:
    """The two ends of a collar and the point where its bell hangs, in the figure's frame."""

    start: Point
    end: Point
    bell: Point


def fur(generator: np.random.Generator) -> Colour:
    """A coat: brown, ginger, grey, cream, white or nearly black."""
    coats = (
        (0.07, 0.55, 0.62),
        (0.08, 0.68, 0.9),
        (0.6, 0.1, 0.6),
        (0.1, 0.3, 0.9),
        (0.09, 0.06, 0.95),
        (0.05, 0.35, 0.4),
    )
    hue, saturation, value = coats[generator.integers(len(coats))]
    wiggle = generator.uniform(-1, 1, 3)
    return hsv(hue + 0.015 * wiggle[0], saturation + 0.08 * wiggle[1], value + 0.05 * wiggle[2])


def dog(pen: Pen, generator: np.random.Generator) -> Neck:
    coat = fur(generator)
    dark, light = shade(coat, -0.38), shade(coat, 0.3)
    step, nod, wag = generator.uniform(-0.09, 0.09), generator.uniform(-0.05, 0.06), generator.uniform(-0.15, 0.2)
    pen.stroke("tail", [(-0.55, 0.12), (-0.78, -0.08), (-0.86 + wag, -0.42)], (0.17, 0.07), coat)
    for x in (-0.32, 0.2):
        pen.stroke("leg", [(x, 0.35), (x - step, 0.86)], (0.19, 0.15), shade(coat, -0.2))
    body = [
        (-0.64, 0.2),
        (-0.5, -0.08),
        (0.0, -0.06),
        (0.36, -0.16),
        (0.53, 0.1),
        (0.42, 0.42),
        (0.0, 0.46),
        (-0.5, 0.48),
    ]
    pen.blob("body", body, coat)
    if generator.random() < 0.6:
        pen.ellipse("body", (-0.2, 0.1), (0.24, 0.15), dark, generator.uniform(-20, 20))
    for x in (-0.48, 0.38):
        pen.stroke("leg", [(x, 0.35), (x + step, 0.86)], (0.2, 0.16), coat)
        pen.ellipse("leg", (x + step + 0.04, 0.9), (0.12, 0.07), light)
    pen.stroke("body", [(0.33, 0.08), (0.46, -0.3)], (0.42, 0.34), coat)
    x, y = 0.5, -0.42 + nod
    pen.ellipse("head", (x, y), (0.31, 0.29), coat)
    pen.ellipse("tongue", (x + 0.24, y + 0.27), (0.06, 0.12), (236, 110, 120))
    pen.ellipse("snout", (x + 0.25, y + 0.12), (0.24, 0.16), light, 8)
    pen.ellipse("nose", (x + 0.44, y + 0.04), (0.085, 0.07), BLACK)
    pen.stroke("snout", [(x + 0.42, y + 0.12), (x + 0.34, y + 0.22), (x + 0.2, y + 0.21)], 0.025, dark)
    lop = generator.uniform(-0.06, 0.08)
    ear = [(x - 0.1, y - 0.25), (x - 0.3, y - 0.1), (x - 0.36 + lop, y + 0.26), (x - 0.22 + lop, y + 0.36)]
    pen.blob("ear", [*ear, (x - 0.1, y + 0.15), (x - 0.02, y - 0.12)], dark)
    pen.eye((x + 0.11, y - 0.07), 0.06)
    return Neck((0.2, -0.12), (0.6, -0.05), (0.55, 0.13))


def cat(pen: Pen, generator: np.random.Generator) -> Neck:
    coat = fur(generator)
    dark, light = shade(coat, -0.35), shade(coat, 0.45)
    curl, tilt = generator.uniform(-0.15, 0.12), generator.uniform(-0.05, 0.05)
    pen.stroke("tail", [(0.25, 0.78), (0.66, 0.8), (0.82, 0.5), (0.68 + curl, 0.18)], (0.16, 0.12), dark)
    pen.blob("body", [(-0.24, -0.1), (0.24, -0.1), (0.42, 0.5), (0.36, 0.88), (-0.36, 0.88), (-0.42, 0.5)], coat)
    pen.ellipse("body", (0.0, 0.24), (0.17, 0.24), light)
    for side in (-1, 1):
        pen.ellipse("leg", (0.31 * side, 0.7), (0.16, 0.21), shade(coat, -0.1))
        pen.stroke("leg", [(0.12 * side, 0.35), (0.13 * side, 0.84)], 0.17, coat)
        pen.ellipse("leg", (0.14 * side, 0.89), (0.13, 0.07), light)
    x, y = tilt, -0.36
    for side in (-1, 1):
        pen.area("ear", [(x + 0.42 * side, y - 0.02), (x + 0.39 * side, y - 0.6), (x + 0.04 * side, y - 0.3)], coat)
        pen.area("ear", [(x + 0.35 * side, y - 0.16), (x + 0.345 * side, y - 0.46), (x + 0.15 * side, y - 0.28)], PINK)
    pen.ellipse("head", (x, y), (0.44, 0.35), coat)
    for stripe in (-0.12, 0.0, 0.12):
        pen.stroke("head", [(x + stripe, y - 0.33), (x + 0.8 * stripe, y - 0.2)], (0.06, 0.02), dark)
    eyes = hsv(generator.choice([0.3, 0.15, 0.55]), 0.6, 0.85)
    for side in (-1, 1):
        pen.ellipse("eye", (x + 0.18 * side, y - 0.02), (0.1, 0.09), eyes)
        pen.ellipse("eye", (x + 0.18 * side, y - 0.02), (0.032, 0.085), BLACK)
        pen.ellipse("snout", (x + 0.075 * side, y + 0.17), (0.1, 0.075), light)
        for rise in (-0.05, 0.04):
            pen.stroke(
                "whisker", [(x + 0.16 * side, y + 0.16), (x + 0.52 * side, y + 0.14 + rise)], 0.018, shade(coat, -0.6)
            )
    pen.area("nose", [(x - 0.05, y + 0.09), (x + 0.05, y + 0.09), (x, y + 0.15)], (214, 100, 110))
    return Neck((-0.26, -0.02), (0.26, -0.02), (0.0, 0.14))


def elephant(pen: Pen, generator: np.random.Generator) -> Neck:
    coat = hsv(generator.choice([0.6, 0.58, 0.08, 0.95]), generator.uniform(0.03, 0.22), generator.uniform(0.5, 0.8))
    dark, light = shade(coat, -0.22), shade(coat, 0.2)
    step, lift = generator.uniform(-0.06, 0.06), generator.uniform(-0.45, 0.1)
    pen.stroke("tail", [(-0.68, -0.05), (-0.86, 0.15), (-0.82, 0.42)], (0.08, 0.04), dark)
    for x in (-0.3, 0.16):
        pen.stroke("leg", [(x, 0.25), (x - step, 0.8)], 0.25, dark)
    pen.blob(
        "body", [(-0.74, 0.05), (-0.5, -0.38), (0.0, -0.42), (0.4, -0.35), (0.5, 0.15), (0.2, 0.48), (-0.5, 0.46)], coat
    )
    for x in (-0.52, 0.34):
        pen.stroke("leg", [(x, 0.25), (x + step, 0.8)], 0.26, coat)
        for toe in (-0.07, 0.01, 0.09):
            pen.ellipse("leg", (x + step + toe, 0.88), (0.035, 0.035), WHITE)
    pen.ellipse("head", (0.46, -0.3), (0.34, 0.35), coat)
    trunk = [
        (0.62, -0.26),
        (0.82, -0.1),
        (0.92, 0.2),
        (0.9, 0.46 + 0.2 * lift),
        (1.02, 0.62 + lift),
        (1.12, 0.56 + lift),
    ]
    pen.stroke("trunk", trunk, (0.34, 0.13), shade(coat, 0.1))
    for at in (0.02, 0.15, 0.28):
        pen.stroke("trunk", [(0.8 + 0.14 * at, at), (0.97 - 0.02 * at, at - 0.05)], 0.03, dark)
    pen.stroke("tusk", [(0.6, -0.04), (0.68, 0.16), (0.84, 0.2)], (0.1, 0.03), WHITE)
    flap = generator.uniform(-0.05, 0.08)
    ear = [(0.36, -0.55), (0.12 - flap, -0.62), (-0.1 - flap, -0.3), (0.0 - flap, 0.08), (0.22, 0.12), (0.4, -0.12)]
    pen.blob("ear", ear, dark)
    pen.blob("ear", [(0.3 + 0.75 * (x - 0.3), -0.25 + 0.75 * (y + 0.25)) for x, y in ear], shade(light, 0.05))
    pen.eye((0.6, -0.36), 0.055)
    return Neck((0.06, 0.1), (0.56, 0.1), (0.42, 0.24))


def rabbit(pen: Pen, generator: np.random.Generator) -> Neck:
    coat = fur(generator)
    light = shade(coat, 0.5)
    lean, flop, y = generator.uniform(-8, 8), generator.uniform(0, 28), -0.2
    pen.disc("tail", (0.4, 0.66), 0.15, light)
    pen.ellipse("body", (0.0, 0.42), (0.4, 0.48), coat)
    pen.ellipse("body", (0.0, 0.48), (0.23, 0.3), light)
    for side in (-1, 1):
        turn = lean + (9 + (flop if side > 0 else 0)) * side
        tip = np.deg2rad(turn)
        middle = (0.15 * side + 0.4 * np.sin(tip), y - 0.2 - 0.4 * np.cos(tip))
        pen.ellipse("ear", middle, (0.115, 0.4), coat, turn)
        pen.ellipse("ear", middle, (0.06, 0.31), PINK, turn)
        pen.ellipse("leg", (0.23 * side, 0.87), (0.2, 0.1), shade(coat, -0.1))
        pen.ellipse("leg", (0.13 * side, 0.36), (0.085, 0.16), shade(coat, -0.1), 18 * side)
    pen.ellipse("head", (0.0, y), (0.35, 0.3), coat)
    for side in (-1, 1):
        pen.eye((0.155 * side, y - 0.05), 0.062)
        pen.ellipse("head", (0.22 * side, y + 0.1), (0.07, 0.045), shade(PINK, 0.15))
        pen.ellipse("snout", (0.065 * side, y + 0.13), (0.085, 0.07), light)
    pen.area("tooth", [(-0.04, y + 0.17), (0.04, y + 0.17), (0.035, y + 0.26), (-0.035, y + 0.26)], WHITE)
    pen.ellipse("nose", (0.0, y + 0.075), (0.05, 0.035), (220, 110, 125))
    return Neck((-0.25, 0.1), (0.25, 0.1), (0.0, 0.25))


def penguin(pen: Pen, generator: np.random.Generator) -> Neck:
    coat = hsv(generator.choice([0.62, 0.6, 0.05, 0.7]), generator.uniform(0.1, 0.5), generator.uniform(0.2, 0.4))
    flap = generator.uniform(0.0, 0.3)
    for side in (-1, 1):
        pen.ellipse("foot", (0.2 * side, 0.9), (0.18, 0.08), ORANGE)
        wing = [(0.34 * side, -0.12), (0.52 * side, 0.16), ((0.56 + flap) * side, 0.46 - 0.4 * flap)]
        pen.stroke("wing", wing, (0.24, 0.08), shade(coat, -0.15))
    body = [(-0.2, -0.84), (0.2, -0.84), (0.36, -0.55), (0.42, -0.1), (0.5, 0.4), (0.34, 0.86), (-0.34, 0.86)]
    pen.blob("body", [*body, (-0.5, 0.4), (-0.42, -0.1), (-0.36, -0.55)], coat)
    pen.blob("belly", [(-0.2, -0.2), (0.2, -0.2), (0.35, 0.35), (0.22, 0.82), (-0.22, 0.82), (-0.35, 0.35)], WHITE)
    for side in (-1, 1):
        pen.ellipse("head", (0.13 * side, -0.55), (0.16, 0.2), WHITE)
    for side in (-1, 1):
        pen.eye((0.14 * side, -0.58), 0.06)
        pen.ellipse("head", (0.22 * side, -0.42), (0.06, 0.04), PINK)
    pen.area("beak", [(-0.11, -0.5), (0.11, -0.5), (0.0, -0.3)], ORANGE)
    pen.area("beak", [(-0.11, -0.5), (0.11, -0.5), (0.0, -0.43)], shade(ORANGE, 0.3))
    return Neck((-0.37, -0.24), (0.37, -0.24), (0.0, -0.08))


def owl(pen: Pen, generator: np.random.Generator) -> Neck:
    coat = fur(generator)
    dark, light = shade(coat, -0.32), shade(coat, 0.5)
    spread = generator.uniform(0, 0.14)
    pen.area("tail", [(-0.18, 0.6), (0.18, 0.6), (0.14, 0.97), (-0.14, 0.97)], dark)
    body = [(-0.3, -0.72), (0.3, -0.72), (0.5, -0.3), (0.52, 0.3), (0.3, 0.8), (-0.3, 0.8), (-0.52, 0.3), (-0.5, -0.3)]
    for side in (-1, 1):
        pen.area("ear", [(0.1 * side, -0.72), (0.5 * side, -0.96), (0.47 * side, -0.45)], dark)
    pen.blob("body", body, coat)
    pen.ellipse("belly", (0.0, 0.32), (0.34, 0.42), light)
    for row, xs in enumerate([(-0.18, 0.0, 0.18), (-0.1, 0.1), (-0.18, 0.0, 0.18), (-0.1, 0.1)]):
        for x in xs:
            y = 0.14 + 0.14 * row
            pen.stroke("belly", [(x - 0.06, y), (x, y + 0.05), (x + 0.06, y)], 0.03, coat)
    for side in (-1, 1):
        wing = [
            (0.42 * side, -0.2),
            ((0.6 + spread) * side, 0.1),
            ((0.56 + 2 * spread) * side, 0.5),
            (0.36 * side, 0.66),
        ]
        pen.blob("wing", [*wing, (0.36 * side, 0.2)], dark)
        pen.ellipse("eye", (0.21 * side, -0.4), (0.25, 0.25), light)
    iris = hsv(generator.choice([0.13, 0.1, 0.16]), 0.8, 0.96)
    for side in (-1, 1):
        pen.disc("eye", (0.2 * side, -0.4), 0.165, iris)
        pen.eye((0.2 * side, -0.4), 0.095)
        for toe in (-0.07, 0.0, 0.07):
            pen.ellipse("foot", (0.16 * side + toe, 0.83), (0.04, 0.075), ORANGE)
    pen.area("beak", [(-0.08, -0.34), (0.08, -0.34), (0.0, -0.12)], ORANGE)
    return Neck((-0.44, -0.1), (0.44, -0.1), (0.0, 0.06))
