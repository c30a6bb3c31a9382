"""What is true of a drawn scene: its parts, and what each of them does to the score.

A part is removed by drawing the scene without it: everything else stays in its place, and what lies behind comes to
light. A background is not removed but exchanged, and its effect is the mean over the others (never snow for another,
which would add the cheat's evidence).

    effect of a part = score of the target with everything − score without the part

R. Hesse, S. Schaub-Meyer and S. Roth, "FunnyBirds: A Synthetic Vision Dataset for a Part-Based Analysis of Explainable
AI Methods", ICCV 2023, section 3 (interventions on parts). The score is the network's own (the logit), as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.demo.scenes import BACKGROUNDS, KINDS, Scene, SceneSpec, render, render_image
from sightline.errors import UsageError
from sightline.images.frame import Frame
from sightline.models.intake import Prepared, prepare
from sightline.passes.passes import Passes
from sightline.types import Pixels

BACKGROUND, ACCESSORY = "background", "accessory"
SMALLEST_PART = 16
"""Pixels that must be seen of a part for it to be judged; of fewer, a map can say nothing."""
RELEVANT = 0.05
"""A part has an effect if removing it lowers the score by this share of it or more (FunnyBirds: 5 %)."""
DECISIVE = 0.5
"""A thing is evidence if its effect is this share of the largest or more."""


@dataclass(frozen=True, eq=False)
class Part:
    """Something that can be taken out of a scene.

    Attributes:
        name: `dog/ear`, `dog`, `accessory` or `background`.
        mask: `H W` booleans of the drawn picture.
        effect: what the target's score loses without it; negative where it speaks against the target.
    """

    name: str
    mask: NDArray[np.bool_]
    effect: float


@dataclass(frozen=True, eq=False)
class SceneTruth:
    """A scene, what one network answers to it, and what each part contributes to the score of one target.

    Attributes:
        spec: the scene; `render(spec)` draws it again.
        target: the class whose score is explained.
        pixels: `1 c h w`, as the network is given the scene.
        frame: where the network's input lies in the picture.
        scores: `k`, of the whole scene.
        parts: the smallest removable parts that can be seen, the accessory and the background: they divide the picture.
        things: the figures, the accessory and the background: they divide the picture, too.
    """

    spec: SceneSpec
    target: int
    pixels: Pixels
    frame: Frame
    scores: NDArray[np.float32]
    parts: tuple[Part, ...]
    things: tuple[Part, ...]

    @property
    def score(self) -> float:
        """Of the target, in the whole scene."""
        return float(self.scores[self.target])

    def relevant(self, part: Part) -> bool:
        """Whether removing the part lowers the score by a twentieth or more."""
        return part.effect >= RELEVANT * abs(self.score) and part.effect > 0

    @cached_property
    def evidence(self) -> NDArray[np.bool_]:
        """`H W`: the thing with the largest effect, and those with half as much or more."""
        least = DECISIVE * max(thing.effect for thing in self.things)
        return np.any([thing.mask for thing in self.things if thing.effect >= least], axis=0)

    @property
    def top(self) -> str:
        """The thing with the largest effect."""
        return max(self.things, key=lambda thing: thing.effect).name


class Drawings:
    """The pictures of one scene and of its versions, each drawn once, for all networks that are asked about them.

    Held as long as this value, or until `clear`.
    """

    def __init__(self, spec: SceneSpec) -> None:
        self.spec = spec
        self._images: dict[SceneSpec, NDArray[np.uint8]] = {}

    @cached_property
    def scene(self) -> Scene:
        """The whole scene with its masks."""
        return render(self.spec)

    def image(self, spec: SceneSpec) -> NDArray[np.uint8]:
        """The picture of a version, uint8 `h w 3`."""
        if spec not in self._images:
            self._images[spec] = self.scene.image if spec == self.spec else render_image(spec)
        return self._images[spec]

    def clear(self) -> None:
        """Forget the pictures of the versions."""
        self._images.clear()


class Versions:
    """Asks one network about versions of one scene. What it answered is kept as long as this value.

    Args:
        passes: where the network is asked.
        drawings: of the scene.
    """

    def __init__(self, passes: Passes, drawings: Drawings) -> None:
        self.drawings = drawings
        self.passes = passes
        self._known: dict[SceneSpec, NDArray[np.float32]] = {}

    def scores(self, specs: Sequence[SceneSpec]) -> NDArray[np.float32]:
        """Scores `n k` of versions; those not yet known go through the network together."""
        missing = [spec for spec in dict.fromkeys(specs) if spec not in self._known]
        if missing:
            pixels = torch.cat([prepared(self.passes, self.drawings.image(spec)).pixels for spec in missing])
            found = self.passes.scores(pixels.to(self.passes.device)).float().cpu().numpy()
            self._known.update(zip(missing, found, strict=True))
        return np.stack([self._known[spec] for spec in specs])

    def without(self, names: Iterable[str]) -> SceneSpec:
        """The scene without some parts, the background exchanged where it is among them."""
        spec, gone = self.drawings.spec, set(names)
        place = others(spec)[0] if BACKGROUND in gone else spec.background
        return replace(spec, background=place, without=tuple(sorted(gone - {BACKGROUND})))


def prepared(passes: Passes, image: NDArray[np.uint8]) -> Prepared:
    """A drawn picture as the network is given it."""
    return prepare(image, 0, passes.classifier)


def others(spec: SceneSpec) -> tuple[str, ...]:
    """The backgrounds that a scene's own is exchanged for."""
    return tuple(name for name in BACKGROUNDS if name not in (spec.background, "snow"))


def truth_of(
    passes: Passes, spec: SceneSpec, target: int | None = None, versions: Versions | None = None
) -> SceneTruth:
    """The parts of a scene with their effects on one network's score. Costs one forward pass a part, and a few.

    Args:
        passes: where the network is asked.
        spec: the scene, with nothing left out.
        target: the class to explain; the first figure's by default.
        versions: what is known of the scene already.

    Raises:
        UsageError: a scene without figures, or one that already leaves something out.
    """
    if not spec.kinds or spec.without:
        raise UsageError(f"the truth is told of a whole scene with a figure, got {spec}")
    target = KINDS.index(spec.kinds[0]) if target is None else target
    versions = versions or Versions(passes, Drawings(spec))
    scene = versions.drawings.scene
    ready = prepared(passes, scene.image)
    parts, things = _masks(scene), _things(scene)
    asked = dict.fromkeys([*parts, *things])
    alone = [[replace(spec, background=place) for place in others(spec)] if name == BACKGROUND else
             [versions.without([name])] for name in asked]  # fmt: skip
    found = versions.scores([spec, *(version for some in alone for version in some)])
    whole, rest = found[0], iter(found[1:, target].tolist())
    effects = {
        name: float(whole[target]) - float(np.mean([next(rest) for _ in some]))
        for name, some in zip(asked, alone, strict=True)
    }
    return SceneTruth(
        spec=spec,
        target=target,
        pixels=ready.pixels.to(passes.device),
        frame=ready.frame,
        scores=whole,
        parts=tuple(Part(name, mask, effects[name]) for name, mask in parts.items()),
        things=tuple(Part(name, mask, effects[name]) for name, mask in things.items()),
    )


def _things(scene: Scene) -> dict[str, NDArray[np.bool_]]:
    found = {kind: scene.masks[f"object:{kind}"] for kind in scene.spec.kinds}
    return {name: mask for name, mask in {**found, **_around(scene)}.items() if mask.any()}


def _masks(scene: Scene) -> dict[str, NDArray[np.bool_]]:
    """The figure's parts, where there is one figure; two figures are parts as wholes, since their parts share names."""
    if len(scene.spec.kinds) > 1:
        return _things(scene)
    (kind,) = scene.spec.kinds
    parts = {f"{kind}/{name[5:]}": mask for name, mask in scene.masks.items() if name.startswith("part:")}
    return {name: mask for name, mask in {**parts, **_around(scene)}.items() if mask.sum() >= SMALLEST_PART}


def _around(scene: Scene) -> dict[str, NDArray[np.bool_]]:
    return {ACCESSORY: scene.masks[ACCESSORY], BACKGROUND: scene.masks[BACKGROUND]}
