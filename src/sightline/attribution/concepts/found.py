"""What `sightline.concepts` gives: the concepts of a set of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.attribution.concepts.learning import Learning
from sightline.images.frame import Frame
from sightline.types import Count


@dataclass(frozen=True, eq=False, kw_only=True)
class Example:
    """A place where a concept is strong.

    Attributes:
        picture: its place in the list.
        box: top, left, bottom, right, in the frame of the network's input.
        strength: of the concept there.
    """

    picture: int
    box: tuple[int, int, int, int]
    strength: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Concepts:
    """r concepts of b pictures at one layer, with K channels and h × w cells.

    Attributes:
        method: the frozen value that found them.
        layer: where.
        target: index of the class whose score is explained; `label` its name.
        pictures: the names of the pictures.
        shown: `b H W 3` uint8, the pictures as the network saw them.
        frames: where the network's input lies in each picture.
        strengths: `b r h w` float32, of each concept at each cell.
        directions: `r K` float32, each of length 1.
        effects: `b r`, how much each concept matters for the score in each picture, in the method's own unit.
        classes: `r t`, the classes that the network sees in each concept alone, likeliest first.
        class_probabilities: `r t`, on average over the pictures.
        names: class index → name, of those.
        examples: for each concept the places where it is strongest, one a picture, the strongest first.
        passes: all that it took.
        warnings: what must be known before believing it.
    """

    method: Learning
    layer: str
    target: int
    label: str
    pictures: tuple[str, ...]
    shown: NDArray[np.uint8]
    frames: tuple[Frame, ...]
    strengths: NDArray[np.float32]
    directions: NDArray[np.float32]
    effects: NDArray[np.float32]
    classes: NDArray[np.int64]
    class_probabilities: NDArray[np.float32]
    names: Mapping[int, str]
    examples: tuple[tuple[Example, ...], ...]
    passes: Count
    warnings: tuple[str, ...] = field(default=())

    @property
    def importances(self) -> NDArray[np.float32]:
        """How much each concept matters on average over the pictures, `r`."""
        return self.effects.mean(0)

    @property
    def ranked(self) -> list[int]:
        """The concepts, the one that matters most first, whether it speaks for the class or against."""
        return np.argsort(-np.abs(self.importances), kind="stable").tolist()

    def record(self) -> dict[str, Any]:
        """Everything but the arrays, as plain JSON values; the concepts that matter most first."""
        return {
            "method": self.method.describe(),
            "layer": self.layer,
            "target": {"index": self.target, "label": self.label},
            "pictures": list(self.pictures),
            "concepts": [self._told(place) for place in self.ranked],
            "passes": {"forward": self.passes.forward, "backward": self.passes.backward},
            "warnings": list(self.warnings),
        }

    def _told(self, place: int) -> dict[str, Any]:
        likely = zip(self.classes[place].tolist(), self.class_probabilities[place].tolist(), strict=True)
        return {
            "concept": place + 1,
            "importance": float(self.importances[place]),
            "classes": [{"index": index, "label": self.names[index], "probability": part} for index, part in likely],
            "examples": [
                {"picture": self.pictures[one.picture], "box": list(one.box), "strength": one.strength}
                for one in self.examples[place]
            ],
        }

    def __repr__(self) -> str:
        return f"<Concepts: {len(self.directions)} of {len(self.pictures)} pictures at {self.layer} by {self.method}>"
