"""The fish, the butterfly and what has wheels; drawn like the animals, and like them with a place for a bell."""

from __future__ import annotations

import math

import numpy as np

from sightline.demo.animals import Neck
from sightline.demo.painter import BLACK, WHITE, Colour, Pen, hsv, shade

STEEL: Colour = (176, 182, 190)
TYRE: Colour = (52, 52, 58)


def paint(generator: np.random.Generator) -> Colour:
    """A bright colour of any hue."""
    return hsv(generator.random(), generator.uniform(0.5, 0.85), generator.uniform(0.65, 0.95))


def fish(pen: Pen, generator: np.random.Generator) -> Neck:
    coat = paint(generator)
    fin = shade(coat, -0.28)
    swim = generator.uniform(-0.14, 0.14)
    tail = [
        (-0.5, 0.0),
        (-0.78, -0.22 + swim),
        (-1.0, -0.42 + swim),
        (-0.9, swim),
        (-1.0, 0.42 + swim),
        (-0.78, 0.22 + swim),
    ]
    pen.blob("tail", tail, fin)
    pen.blob("fin", [(-0.35, -0.3), (-0.3, -0.66), (0.15, -0.62), (0.4, -0.3)], fin)
    pen.blob("fin", [(-0.2, 0.3), (-0.26, 0.62), (0.02, 0.58), (0.2, 0.35)], fin)
    back = [(-0.66, 0.0), (-0.3, -0.36), (0.25, -0.46), (0.7, -0.24), (0.86, 0.02)]
    pen.blob("body", [*back, (0.66, 0.27), (0.2, 0.44), (-0.3, 0.34)], coat)
    pen.blob(
        "belly", [(-0.4, 0.16), (0.1, 0.2), (0.7, 0.12), (0.62, 0.27), (0.2, 0.41), (-0.25, 0.32)], shade(coat, 0.4)
    )
    for column, x in enumerate((-0.3, -0.12, 0.06)):
        for y in (-0.16, 0.0) if column % 2 else (-0.24, -0.08, 0.08):
            pen.stroke("body", [(x + 0.05, y - 0.07), (x - 0.02, y), (x + 0.05, y + 0.07)], 0.03, fin)
    pen.stroke("gill", [(0.38, -0.26), (0.29, -0.02), (0.36, 0.22)], 0.035, fin)
    pen.blob("fin", [(0.22, 0.06), (-0.08, 0.04), (-0.12, 0.24), (0.12, 0.24)], fin)
    pen.disc("eye", (0.58, -0.1), 0.13, WHITE)
    pen.eye((0.61, -0.1), 0.08)
    pen.stroke("mouth", [(0.83, 0.1), (0.74, 0.15), (0.66, 0.13)], 0.035, fin)
    return Neck((0.3, -0.44), (0.3, 0.41), (0.3, 0.56))


def butterfly(pen: Pen, generator: np.random.Generator) -> Neck:
    coat, spots = paint(generator), paint(generator)
    edge = shade(coat, -0.5)
    fold = generator.uniform(0.72, 1.0)
    upper = [(0.05, -0.1), (0.2, -0.62), (0.62, -0.86), (0.96, -0.68), (0.86, -0.2), (0.45, 0.08)]
    lower = [(0.05, 0.02), (0.5, 0.08), (0.8, 0.3), (0.74, 0.68), (0.44, 0.82), (0.16, 0.5)]
    for side in (-fold, fold):
        for wing in (lower, upper):
            middle = np.mean(wing, axis=0)
            pen.blob("wing", [(x * side, y) for x, y in wing], edge)
            inner = [(middle + 0.8 * (np.asarray(corner) - middle)) * (side, 1.0) for corner in wing]
            pen.blob("wing", [(float(x), float(y)) for x, y in inner], coat)
        pen.ellipse("spot", (0.64 * side, -0.52), (0.14 * fold, 0.14), spots)
        pen.ellipse("spot", (0.64 * side, -0.52), (0.06 * fold, 0.06), WHITE)
        pen.ellipse("spot", (0.52 * side, 0.46), (0.12 * fold, 0.12), spots)
        pen.stroke("antenna", [(0.02 * side, -0.42), (0.12 * side, -0.74), (0.3 * side, -0.9)], 0.035, BLACK)
        pen.disc("antenna", (0.3 * side, -0.9), 0.045, BLACK)
    pen.stroke("body", [(0.0, -0.3), (0.0, 0.5)], (0.17, 0.08), BLACK)
    pen.disc("head", (0.0, -0.4), 0.12, BLACK)
    for side in (-1, 1):
        pen.disc("eye", (0.05 * side, -0.43), 0.035, WHITE)
    return Neck((-0.09, -0.22), (0.09, -0.22), (0.0, -0.06))


def wheel(pen: Pen, x: float, y: float, radius: float) -> None:
    """A car's wheel."""
    pen.disc("wheel", (x, y), radius, TYRE)
    pen.disc("wheel", (x, y), 0.58 * radius, STEEL)
    for spoke in range(5):
        angle = 2 * math.pi * spoke / 5
        hole = (x + 0.36 * radius * math.cos(angle), y + 0.36 * radius * math.sin(angle))
        pen.disc("wheel", hole, 0.11 * radius, TYRE)


def car(pen: Pen, generator: np.random.Generator) -> Neck:
    coat = paint(generator)
    roof = generator.uniform(-0.1, 0.06)
    glass = (196, 226, 240)
    pen.blob(
        "cabin", [(-0.62, 0.1), (-0.44, -0.34 + roof), (-0.05, -0.44 + roof), (0.3, -0.34 + roof), (0.58, 0.1)], coat
    )
    pen.area("window", [(-0.47, 0.03), (-0.36, -0.28 + roof), (-0.08, -0.34 + roof), (-0.08, 0.03)], glass)
    pen.area("window", [(0.0, 0.03), (0.0, -0.34 + roof), (0.24, -0.28 + roof), (0.42, 0.03)], glass)
    body = [
        (-0.96, 0.12),
        (-0.7, 0.02),
        (0.5, 0.02),
        (0.86, 0.12),
        (0.97, 0.34),
        (0.94, 0.56),
        (-0.94, 0.56),
        (-0.99, 0.34),
    ]
    pen.blob("body", body, coat)
    pen.area("body", [(-0.95, 0.44), (0.97, 0.44), (0.95, 0.56), (-0.95, 0.56)], shade(coat, -0.3))
    pen.stroke("door", [(-0.04, 0.06), (-0.04, 0.42)], 0.025, shade(coat, -0.3))
    pen.stroke("door", [(0.04, 0.17), (0.16, 0.17)], 0.04, STEEL)
    pen.ellipse("light", (0.87, 0.26), (0.08, 0.09), (255, 240, 170))
    pen.ellipse("light", (-0.94, 0.26), (0.05, 0.08), (214, 60, 50))
    for x in (-0.54, 0.55):
        pen.disc("body", (x, 0.56), 0.29, shade(coat, -0.45))
        wheel(pen, x, 0.6, 0.25)
    return Neck((0.62, 0.04), (0.72, 0.2), (0.74, 0.36))


def bicycle(pen: Pen, generator: np.random.Generator) -> Neck:
    coat = paint(generator)
    rise = generator.uniform(-0.06, 0.06)
    rear, front, crank = (-0.56, 0.46), (0.56, 0.46), (-0.06, 0.46)
    seat, head = (-0.2, -0.14 + rise), (0.4, -0.2)
    spin = generator.uniform(0, math.pi)
    for hub in (rear, front):
        for spoke in range(6):
            angle = spin + math.pi * spoke / 6
            reach = (0.36 * math.cos(angle), 0.36 * math.sin(angle))
            ends = [(hub[0] - reach[0], hub[1] - reach[1]), (hub[0] + reach[0], hub[1] + reach[1])]
            pen.stroke("wheel", ends, 0.018, STEEL)
        pen.ring("wheel", hub, 0.39, 0.085, TYRE)
        pen.ring("wheel", hub, 0.335, 0.03, STEEL)
        pen.disc("wheel", hub, 0.06, TYRE)
    for start, end in ((rear, seat), (rear, crank), (crank, seat), (crank, head), (seat, head), (head, front)):
        pen.stroke("frame", [start, end], 0.085, coat)
    pen.stroke("saddle", [seat, (-0.23, -0.3 + rise)], 0.06, STEEL)
    pen.blob("saddle", [(-0.44, -0.37 + rise), (-0.1, -0.36 + rise), (0.0, -0.3 + rise), (-0.3, -0.27 + rise)], TYRE)
    pen.stroke("handlebar", [head, (0.35, -0.46)], 0.065, STEEL)
    pen.stroke("handlebar", [(0.35, -0.46), (0.52, -0.5), (0.58, -0.36)], 0.075, TYRE)
    pen.ring("pedal", crank, 0.11, 0.05, STEEL)
    foot = (crank[0] + 0.2 * math.cos(spin), crank[1] + 0.2 * math.sin(spin))
    pen.stroke("pedal", [crank, foot], 0.05, TYRE)
    pen.stroke("pedal", [(foot[0] - 0.07, foot[1]), (foot[0] + 0.07, foot[1])], 0.06, TYRE)
    return Neck((0.33, -0.5), (0.5, -0.52), (0.42, -0.66))
