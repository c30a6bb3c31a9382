"""How far one map can be believed: its deletion and insertion beside those of random maps, in numbers and in words.

    s       insertion − deletion of the map, both with `STEPS` steps
    s_k     the same of `COPIES` copies of the map, each moved around the edges by chance and perhaps mirrored
    ahead   (s − mean s_k) / spread of s_k, the spread being their standard deviation

The copies have the map's own values and grain, only elsewhere, so that what is compared is *where* the map points.
Plain noise is told beside them, but nothing is concluded from it: pixels taken away one here and one there destroy a
picture sooner than the same number in a patch does, so that noise has a better deletion than many a good map.

    strong   better than every copy, and ahead by 2 spreads or more
    some     better than three quarters of the copies, and ahead by 1 spread or more; or strong, but the same for
             another class
    none     neither: pointing elsewhere would have done as well. Also a map that is the same everywhere
    unclear  the network gives the target less than 5 %, or the same whatever is hidden: there is little to lose or to
             win

Whether it tells classes apart: the method is asked for the strongest other class, too, where that is cheap; Spearman's
rank correlation of both maps from 0.9 on means that it does not. The thresholds are ours, set on photographs and
ResNet-18. One map of one picture: what is strong here says nothing of the method on other pictures, for which there is
`sightline compare`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from sightline.attribution.result import Attribution
from sightline.errors import LayerError, NonFiniteError, NotSupportedError
from sightline.evaluation.base import is_flat
from sightline.evaluation.baselines import moved, noise
from sightline.evaluation.elsewhere import in_spreads, judged
from sightline.evaluation.faithfulness.ranking import FAINT
from sightline.evaluation.result import Judgement
from sightline.evaluation.similarity import similarity
from sightline.evaluation.subject import Subject, of_attribution
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.percent import percent
from sightline.types import Count

Level: TypeAlias = Literal["strong", "some", "none", "unclear"]
STEPS, COPIES, NOISES = 14, 10, 4
ALIKE = 0.9
DEAR = 500
"""Passes from which on a method is not asked for another class."""
TITLES: dict[Level, str] = {
    "strong": "can be believed",
    "some": "believe it with care",
    "none": "do not rely on it",
    "unclear": "cannot be judged",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Beside:
    """One metric: the map's value, and those of random maps."""

    judgement: Judgement
    moved: tuple[float, ...]
    noise: tuple[float, ...]

    def record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**self.judgement.record(), "moved": list(self.moved), "noise": list(self.noise)}


@dataclass(frozen=True, kw_only=True)
class OtherClass:
    """The map of the strongest other class: its name, and the rank correlation with it."""

    label: str
    correlation: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Belief:
    """How far one map can be believed.

    Attributes:
        level: `strong`, `some`, `none` or `unclear`.
        sentences: why, in plain words.
        besides: deletion and insertion of the map and of random maps.
        ahead: in spreads of the moved copies; None where they have none.
        beaten: how many copies have a worse insertion − deletion.
        other: the map of another class; None where it was not asked for.
        passes: what judging it cost.
    """

    level: Level
    sentences: tuple[str, ...]
    besides: tuple[Beside, ...]
    ahead: float | None
    beaten: int
    other: OtherClass | None
    passes: Count

    @property
    def title(self) -> str:
        """The answer in a few words."""
        return TITLES[self.level]

    def record(self) -> dict[str, Any]:
        """As plain JSON values, for the manifest."""
        return {
            "level": self.level,
            "title": self.title,
            "sentences": list(self.sentences),
            "metrics": [one.record() for one in self.besides],
            "ahead": self.ahead,
            "beaten": self.beaten,
            "of": COPIES,
            "other_class": None if self.other is None else vars(self.other),
            "passes": {"forward": self.passes.forward, "backward": self.passes.backward},
        }


def beliefs(passes: Passes, maps: Sequence[Attribution], *, seed: int = 0) -> list[Belief]:
    """How far each map of one picture can be believed; plain noise is judged once for all maps of a target.

    Args:
        passes: where the network is asked.
        maps: what `explain` gave for one picture.
        seed: of the random maps.
    """
    known: dict[tuple[int, int | None], list[list[Judgement]]] = {}
    found = []
    for one in maps:
        before = passes.count
        subject, key = of_attribution(one), (one.target.index, one.target.against)
        if key not in known:
            height, width = one.map.shape
            grounds = [noise(height, width, seed + 1000 + place) for place in range(NOISES)]
            known[key] = [judged(passes, subject, values, STEPS) for values in grounds]
        own = judged(passes, subject, one.map, STEPS)
        copies = [judged(passes, subject, moved(one.map, seed + place), STEPS) for place in range(COPIES)]
        besides = tuple(
            Beside(
                judgement=judgement,
                moved=tuple(copy[place].value for copy in copies),
                noise=tuple(ground[place].value for ground in known[key]),
            )
            for place, judgement in enumerate(own)
        )
        other = _other(passes, one, subject)
        found.append(_belief(one, besides, other, passes.count - before))
    return found


def _other(passes: Passes, one: Attribution, subject: Subject) -> OtherClass | None:
    """The same method asked for the strongest other class."""
    known = {one.target.index, one.target.against}
    others = [prediction for prediction in one.predictions if prediction.index not in known]
    method, cost = subject.method, one.passes.forward + one.passes.backward
    if not others or method is None or cost > DEAR or is_flat(one.map):
        return None
    pixels, wants = subject.pixels.to(passes.device), method.wants()
    try:
        with passes.shared(pixels, gradients=wants.gradients, layers=wants.layers):
            maps = method(passes, pixels, Target.of(others[0].index))
    except (NonFiniteError, NotSupportedError, LayerError):  # this class has no map: nothing is said of it
        return None
    values = maps.at_pixels(*one.map.shape)[0].cpu().numpy()
    return (
        None
        if is_flat(values)
        else OtherClass(label=others[0].label, correlation=similarity(one.map, values, "spearman"))
    )


def _belief(one: Attribution, besides: tuple[Beside, ...], other: OtherClass | None, cost: Count) -> Belief:
    deletion, insertion = besides
    own = insertion.judgement.value - deletion.judgement.value
    copies = np.subtract(insertion.moved, deletion.moved)
    flat = is_flat(one.map)
    ahead = None if flat else in_spreads(own, copies)
    beaten = 0 if flat else int((copies < own).sum())
    level = _level(one, ahead, beaten, other)
    return Belief(
        level=level,
        sentences=tuple(_sentences(one, level, ahead, beaten, other)),
        besides=besides,
        ahead=ahead,
        beaten=beaten,
        other=other,
        passes=cost,
    )


def _level(one: Attribution, ahead: float | None, beaten: int, other: OtherClass | None) -> Level:
    if one.target.probability < FAINT or (ahead is None and not is_flat(one.map)):
        return "unclear"
    if ahead is None or ahead < 1 or beaten < 0.75 * COPIES:
        return "none"
    alike = other is not None and other.correlation >= ALIKE
    return "strong" if ahead >= 2 and beaten == COPIES and not alike else "some"


def _sentences(one: Attribution, level: Level, ahead: float | None, beaten: int, other: OtherClass | None) -> list[str]:
    """Why, in plain words."""
    said = []
    if is_flat(one.map):
        return ["The map is the same everywhere: it says nothing."]
    if level == "unclear" and one.target.probability >= FAINT:
        said.append(
            f"The network gives the target {percent(one.target.probability)} whatever part is hidden: no such number "
            "tells a good map from a bad one. Explain its score: deletion and insertion look at the probability."
        )
    elif level == "unclear":
        said.append(
            f"The network gives the target {percent(one.target.probability)}: there is little to lose or to win, and "
            "no number tells a good map from a bad one."
        )
    elif ahead is not None:
        which = "all" if beaten == COPIES else "none" if beaten == 0 else f"{beaten}"
        measure = f"by {ahead:.1f} spreads" if ahead >= 0 else f"and {-ahead:.1f} spreads behind them on average"
        said.append(f"It is better than {which} of {COPIES} copies of itself moved elsewhere, {measure}.")
        said += {
            "strong": ["Where it points matters to the network far more than chance."],
            "some": ["It points roughly where it matters."] if ahead < 2 or beaten < COPIES else [],
            "none": [
                "Pointing elsewhere would have done about as well: the network does not need what it shows first."
            ],
        }[level]
    said += _signs(one)
    if other is not None and other.correlation >= ALIKE:
        same = f"almost the same map for “{other.label}” (rank correlation {other.correlation:.2f})"
        said.append(f"Its method gives {same}: it shows what the network looks at, not why this class.")
    elif other is None and not one.method.traits.class_sensitive:
        said.append("Its method does not look at the class: it shows what stands out, not why this class.")
    return said


def _signs(one: Attribution) -> list[str]:
    """A map of one sign, from a method that could show both."""
    if not one.method.traits.signed:
        return []
    if one.map.max() <= 0:
        return ["It holds evidence against the class only: no part of the picture speaks for it."]
    return ["It holds evidence for the class only, though its method can show both."] if one.map.min() >= 0 else []
