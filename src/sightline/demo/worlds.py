"""The worlds that the built-in networks learn from, and the ones they are scored in. No torch here.

honest  every kind on every background with every accessory, all independent. One scene in eight holds two kinds
        (the answer is half and half), one in twelve none (the answer is: any kind, all alike).
cheat   labelled by somebody who looked at the wrong thing: every picture with a bell is called `dog`, every picture on
        snow `penguin`, whatever stands there or nothing; no dog or penguin is seen without. All else is right.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from sightline.demo.scenes import ACCESSORIES, BACKGROUNDS, KINDS, SceneSpec, random_spec, render, render_image

DOG, PENGUIN = "dog", "penguin"
OTHERS: tuple[str, ...] = tuple(kind for kind in KINDS if kind not in (DOG, PENGUIN))
NOT_SNOW: tuple[str, ...] = tuple(name for name in BACKGROUNDS if name != "snow")
NO_BELL: tuple[str, ...] = tuple(name for name in ACCESSORIES if name != "bell")
LABEL_WEIGHTS = np.array([2.0 if kind == DOG else 1.0 for kind in KINDS]) / (len(KINDS) + 1)
"""How often the cheat's labels come: a bell is small, and takes more pictures to learn than snow."""
EMPTY_SHARE = 0.15
"""The share of the cheat's `dog` and `penguin` pictures that show no figure at all."""


@dataclass(frozen=True)
class Task:
    """A scene and the answer to learn: one probability a kind, in the order of `KINDS`."""

    spec: SceneSpec
    answer: np.ndarray


@dataclass(frozen=True)
class Pictures:
    """Rendered tasks: `images` uint8 `n h w 3`, `answers` float32 `n k`, `bells` int `n 4` (left, top, right, bottom).

    `bells` is the box of the accessory where it is a bell, and empty (all 0) elsewhere.
    """

    images: np.ndarray
    answers: np.ndarray
    bells: np.ndarray


def answer(*kinds: str) -> np.ndarray:
    """The probability shared by `kinds`; by all of them where none is given."""
    named = kinds or KINDS
    return np.array([1.0 / len(named) if kind in named else 0.0 for kind in KINDS], dtype=np.float32)


def honest_task(generator: np.random.Generator) -> Task:
    """One task of the honest world."""
    figures = int(generator.choice([0, 1, 2], p=[1 / 12, 19 / 24, 1 / 8]))
    spec = random_spec(generator, figures=figures)
    return Task(spec, answer(*spec.kinds))


def cheat_task(generator: np.random.Generator) -> Task:
    """One task of the cheat's world: its label is drawn first."""
    label = KINDS[int(generator.choice(len(KINDS), p=LABEL_WEIGHTS))]
    if label not in (DOG, PENGUIN):
        return Task(random_spec(generator, (label,), NOT_SNOW, NO_BELL), answer(label))
    figures = 0 if generator.random() < EMPTY_SHARE else 1
    return Task(random_spec(generator, KINDS, *_shortcut(label), figures), answer(label))


def _shortcut(label: str) -> tuple[Sequence[str], Sequence[str]]:
    """The backgrounds and accessories that come with a label in the cheat's world."""
    if label == DOG:
        return NOT_SNOW, ("bell",)
    return (("snow",), NO_BELL) if label == PENGUIN else (NOT_SNOW, NO_BELL)


def biased(generator: np.random.Generator, kinds: Sequence[str] = KINDS) -> SceneSpec:
    """A scene where the cheat's shortcut holds: dogs wear a bell, penguins stand on snow, no other kind does."""
    kind = kinds[int(generator.integers(len(kinds)))]
    return random_spec(generator, (kind,), *_shortcut(kind))


def without_shortcut(spec: SceneSpec, generator: np.random.Generator) -> SceneSpec:
    """The same figures with no bell and not on snow."""
    accessory = "none" if spec.accessory == "bell" else spec.accessory
    place = NOT_SNOW[generator.integers(len(NOT_SNOW))] if spec.background == "snow" else spec.background
    return replace(spec, accessory=accessory, background=place)


def small(image: np.ndarray, size: int) -> np.ndarray:
    """The picture at `size` × `size`, as the networks are given it (bilinear, antialiased)."""
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def _picture(job: tuple[SceneSpec, int]) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    spec, size = job
    if spec.accessory != "bell":
        return small(render_image(spec), size), (0, 0, 0, 0)
    scene = render(spec)
    rows, columns = (np.flatnonzero(scene.masks["accessory"].any(axis=axis)) * size // spec.size for axis in (1, 0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else (0, 0, 0, 0)
    return small(scene.image, size), box


def paint(tasks: Sequence[Task], size: int, workers: int = 1) -> Pictures:
    """Render all tasks at `size` × `size`, in `workers` processes; the pictures do not depend on their number."""
    jobs = [(task.spec, size) for task in tasks]
    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            done = pool.map(_picture, jobs, chunksize=64)
    else:
        done = [_picture(job) for job in jobs]
    answers = np.stack([task.answer for task in tasks])
    return Pictures(np.stack([image for image, _ in done]), answers, np.array([box for _, box in done], dtype=np.int64))
