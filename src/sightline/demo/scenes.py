"""Pictures in which the evidence is known to the pixel: rendered scenes with a mask for everything in them.

A `SceneSpec` says what is in a scene; `render` draws it. Figures, background, accessory and light come from separate
streams of the seed, so `replace(spec, accessory="none")` is the same picture without its accessory, and
`replace(spec, background="sand")` the same figures in another place. `replace(spec, without=("dog/ear",))` is the same
picture, every other stroke in its place, with what lies behind the ear. Same spec, same bytes. No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sightline.demo import animals, things
from sightline.demo.animals import Neck
from sightline.demo.backgrounds import GROUNDS, clutter
from sightline.demo.painter import BACKGROUND, WHITE, Canvas, Colour, Frame, Pen, Point, hsv, shade
from sightline.errors import SpecError, unknown

Artist = Callable[[Pen, np.random.Generator], Neck]
ARTISTS: dict[str, Artist] = {
    "dog": animals.dog,
    "cat": animals.cat,
    "elephant": animals.elephant,
    "rabbit": animals.rabbit,
    "penguin": animals.penguin,
    "owl": animals.owl,
    "fish": things.fish,
    "butterfly": things.butterfly,
    "car": things.car,
    "bicycle": things.bicycle,
}
KINDS: tuple[str, ...] = tuple(ARTISTS)
BACKGROUNDS: tuple[str, ...] = tuple(GROUNDS)
ACCESSORIES: tuple[str, ...] = ("none", "bell", "ball")
FLOATING = ("fish", "butterfly")
OVERSAMPLING = 3
SMALLEST = 32


@dataclass(frozen=True)
class SceneSpec:
    """What is in a scene: none, one or two different kinds, a background, an accessory; `size` is the side in pixels.

    The accessory belongs to the first figure. `without` names what is left out of the drawing: `accessory`, a figure
    with its shadow (`dog`), or a part of it (`dog/ear`). Raises `SpecError` for a word that is not known.
    """

    kinds: tuple[str, ...]
    background: str = "grass"
    accessory: str = "none"
    seed: int = 0
    size: int = 192
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        object.__setattr__(self, "without", tuple(self.without))
        checks = [("kind", kind, KINDS) for kind in self.kinds]
        checks += [("background", self.background, BACKGROUNDS), ("accessory", self.accessory, ACCESSORIES)]
        checks += [("thing to leave out", name.split("/")[0], (*self.kinds, "accessory")) for name in self.without]
        for what, word, known in checks:
            if word not in known:
                raise SpecError(unknown(what, word, known))
        if len(self.kinds) > 2 or len(set(self.kinds)) < len(self.kinds):
            raise SpecError(f"a scene holds none, one or two different kinds; got {', '.join(self.kinds)}")
        if self.size < SMALLEST or self.seed < 0:
            raise SpecError(f"a scene needs size >= {SMALLEST} and seed >= 0; got size {self.size}, seed {self.seed}")


@dataclass(frozen=True)
class Scene:
    """A rendered scene.

    `image` is uint8 `h w 3`. `masks` are bool `h w`: `object` (all figures), `accessory` and `background`, which divide
    the picture between them; `object:KIND` for each figure, `part:NAME` (within `object`) and `clutter` (within
    `background`). A pixel belongs to what covers most of it.
    """

    spec: SceneSpec
    image: np.ndarray
    masks: dict[str, np.ndarray]


def random_spec(
    generator: np.random.Generator,
    kinds: Sequence[str] = KINDS,
    backgrounds: Sequence[str] = BACKGROUNDS,
    accessories: Sequence[str] = ACCESSORIES,
    figures: int = 1,
) -> SceneSpec:
    """A spec of 192 pixels, each of its parts drawn evenly from the choices given."""
    chosen = generator.choice(len(kinds), size=figures, replace=False)
    return SceneSpec(
        kinds=tuple(kinds[index] for index in chosen),
        background=backgrounds[int(generator.integers(len(backgrounds)))],
        accessory=accessories[int(generator.integers(len(accessories)))],
        seed=int(generator.integers(2**31)),
    )


def render(spec: SceneSpec) -> Scene:
    """Draw the scene and its masks."""
    canvas, image = _draw(spec)
    return Scene(spec, image, _masks(canvas, spec))


def render_image(spec: SceneSpec) -> np.ndarray:
    """The scene's picture alone, uint8 `h w 3`: what `render` gives, without the time its masks take."""
    return _draw(spec)[1]


def _draw(spec: SceneSpec) -> tuple[Canvas, np.ndarray]:
    streams = np.random.SeedSequence(spec.seed).spawn(6)
    place, adorn, front, light, *poses = (np.random.default_rng(stream) for stream in streams)
    canvas = Canvas(spec.size * OVERSAMPLING, without=spec.without)
    ground = GROUNDS[spec.background](canvas, place)
    necks = []
    for index in range(max(len(spec.kinds), 1)):
        kind = spec.kinds[index] if spec.kinds else None
        frame = _frame(poses[index], canvas.size, index if len(spec.kinds) == 2 else None, kind in FLOATING)
        neck = Neck((0.0, 0.0), (0.0, 0.0), (0.0, 0.3))
        if kind is not None:
            if kind not in spec.without:
                _shadow(canvas, frame, shade(ground, -0.22), floating=kind in FLOATING)
            neck = ARTISTS[kind](Pen(canvas, frame, kind), poses[index])
        necks.append((frame, neck))
    pen = Pen(canvas, necks[0][0], "accessory")
    if spec.accessory == "bell":
        _bell(pen, necks[0][1], adorn, collar=bool(spec.kinds))
    elif spec.accessory == "ball":
        _ball(pen, adorn)
    clutter(canvas, front, spec.background, ground)
    if missing := [name for name in spec.without if "/" in name and name not in canvas.owners]:
        raise SpecError(unknown("part to leave out", missing[0], [name for name in canvas.owners if "/" in name]))
    return canvas, _lit(canvas.colours.reduce(OVERSAMPLING), light)


def _frame(generator: np.random.Generator, size: int, place: int | None, floating: bool) -> Frame:
    """Where a figure stands; `place` is 0 or 1 for the left and right of two, None for a figure on its own."""
    x, foot, scale, turn, mirror = generator.random(5)
    if place is None:
        half = 0.28 + 0.13 * scale
        x = half + 0.02 + (0.96 - 2 * half) * x
    else:
        half = 0.2 + 0.05 * scale
        x = (0.26, 0.74)[place] + 0.06 * (x - 0.5)
    ground = 0.8 + 0.16 * foot
    y = max(ground - 0.93 * half, half + 0.01)
    if floating:
        y = half + 0.04 + (0.86 - 2 * half) * foot
    return Frame(size * x, size * y, size * half, (36.0 if floating else 12.0) * (turn - 0.5), bool(mirror < 0.5))


def _shadow(canvas: Canvas, frame: Frame, colour: Colour, floating: bool) -> None:
    flat = Frame(frame.x, min(frame.y + (1.12 if floating else 0.9) * frame.scale, 0.97 * canvas.size), frame.scale)
    Pen(canvas, flat, BACKGROUND).ellipse("", (0.0, 0.0), (0.5 if floating else 0.75, 0.1), colour)


def _bell(pen: Pen, neck: Neck, generator: np.random.Generator, collar: bool) -> None:
    """A golden bell on a collar, or lying there on its own."""
    gold: Colour = (250, 196, 48)
    strap = hsv(generator.choice([0.98, 0.6, 0.4, 0.85]), 0.75, generator.uniform(0.65, 0.9))
    x, y = neck.bell
    if collar:
        middle: Point = ((neck.start[0] + neck.end[0]) / 2, (neck.start[1] + neck.end[1]) / 2 + 0.06)
        pen.stroke("", [neck.start, middle, neck.end], 0.09, strap)
        pen.disc("", (x, y - 0.17), 0.05, shade(gold, -0.4))
    pen.disc("", (x, y), 0.19, shade(gold, -0.45))
    pen.disc("", (x, y), 0.165, gold)
    pen.ellipse("", (x - 0.05, y - 0.07), (0.055, 0.04), WHITE, -30)
    pen.stroke("", [(x - 0.14, y + 0.03), (x, y + 0.05), (x + 0.14, y + 0.03)], 0.03, shade(gold, -0.5))
    pen.disc("", (x, y + 0.09), 0.04, shade(gold, -0.75))


def _ball(pen: Pen, generator: np.random.Generator) -> None:
    """A striped ball on the ground beside the figure, on the side with more room."""
    colour = hsv(generator.random(), 0.7, 0.9)
    room = pen.frame.x < pen.canvas.size / 2
    side = (1 if room else -1) * (-1 if pen.frame.mirrored else 1)
    x, y, radius = side * generator.uniform(0.75, 0.95), 0.72, 0.25
    pen.disc("", (x, y), radius, shade(colour, -0.3))
    for width, tone in ((0.95, colour), (0.6, WHITE), (0.25, colour)):
        pen.ellipse("", (x, y), (width * 0.94 * radius, 0.94 * radius), tone, 25)


def _lit(picture: Image.Image, generator: np.random.Generator) -> np.ndarray:
    """The picture in its light: a slope of brightness, a tint, soft cloudiness and a little grain."""
    size = picture.width
    slope = generator.uniform(-0.1, 0.1, 2)
    across = np.linspace(-1.0, 1.0, size)
    level = 1.0 + generator.uniform(-0.08, 0.05) + slope[0] * across[None, :] + slope[1] * across[:, None]
    coarse = generator.normal(0.0, 0.02, (9, 9)).astype(np.float32)
    soft = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    tint = 1.0 + generator.uniform(-0.035, 0.035, 3)
    grain = generator.normal(0.0, 2.0, (size, size, 1))
    lit = np.asarray(picture, dtype=np.float64) * ((level + soft)[..., None] * tint) + grain
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


def _masks(canvas: Canvas, spec: SceneSpec) -> dict[str, np.ndarray]:
    numbers = np.asarray(canvas.numbers).reshape(spec.size, OVERSAMPLING, spec.size, OVERSAMPLING)
    cover = {name: (numbers == index).sum(axis=(1, 3)) for index, name in enumerate(canvas.owners)}
    nothing = np.zeros((spec.size, spec.size), dtype=np.int64)
    figures = [sum((c for name, c in cover.items() if name.startswith(f"{kind}/")), nothing) for kind in spec.kinds]
    behind = cover[BACKGROUND] + cover.get("clutter", nothing)
    winner = np.argmax([behind, cover.get("accessory", nothing), *figures], axis=0)
    masks = {f"object:{kind}": winner == index + 2 for index, kind in enumerate(spec.kinds)}
    masks |= {"object": winner >= 2, "accessory": winner == 1, "background": winner == 0}
    masks["clutter"] = masks["background"] & (cover.get("clutter", nothing) > cover[BACKGROUND])
    for kind in spec.kinds:
        names = [name for name in cover if name.startswith(f"{kind}/")]
        most = np.argmax([cover[name] for name in names], axis=0)
        for index, name in enumerate(names):
            part = f"part:{name.split('/')[1]}"
            masks[part] = masks.get(part, nothing.astype(bool)) | (masks[f"object:{kind}"] & (most == index))
    return masks


PICTURES: dict[str, SceneSpec] = {
    "dog": SceneSpec(("dog",), "indoor", "none", seed=6),
    "dog-with-bell": SceneSpec(("dog",), "grass", "bell", seed=1),
    "cat": SceneSpec(("cat",), "grass", "none", seed=20),
    "cat-with-bell": SceneSpec(("cat",), "indoor", "bell", seed=1),
    "elephant": SceneSpec(("elephant",), "sand", "none", seed=8),
    "rabbit-with-ball": SceneSpec(("rabbit",), "grass", "ball", seed=8),
    "penguin-on-snow": SceneSpec(("penguin",), "snow", "none", seed=3),
    "penguin-on-sand": SceneSpec(("penguin",), "sand", "none", seed=3),
    "owl": SceneSpec(("owl",), "indoor", "none", seed=3),
    "fish": SceneSpec(("fish",), "sand", "none", seed=12),
    "butterfly": SceneSpec(("butterfly",), "grass", "none", seed=8),
    "car": SceneSpec(("car",), "snow", "none", seed=15),
    "bicycle": SceneSpec(("bicycle",), "sand", "none", seed=1),
    "dog-and-cat": SceneSpec(("dog", "cat"), "grass", "none", seed=10),
    "elephant-and-rabbit": SceneSpec(("elephant", "rabbit"), "sand", "none", seed=14),
}
"""The built-in pictures, used by the command as `demo:NAME`."""
