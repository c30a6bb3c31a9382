"""What stands in a report, as plain values: the page itself only lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from sightline.attribution.result import Attribution
from sightline.evaluation.belief import Belief
from sightline.evaluation.result import Judgement
from sightline.images.frame import Frame
from sightline.images.load import Picture
from sightline.images.shapes import Region
from sightline.pictures.outlines import Loops
from sightline.reports import layers
from sightline.reports.layers import Bar

Row = tuple[str, str]


@dataclass(frozen=True)
class Drawing:
    """A map in colours on one scale. `kind` is `only`, or `shared` and `own` where two scales are offered."""

    kind: str
    colours: str
    bar: Bar
    faint: str


@dataclass(frozen=True)
class Outline:
    """A box around what a map shows, in parts of the picture's width and height, and what it holds, in words."""

    left: float
    top: float
    width: float
    height: float
    words: str


@dataclass(frozen=True)
class Trust:
    """How far a map can be believed: the answer, why, and (metric, the map's value, moved copies, noise) in words."""

    level: str
    title: str
    sentences: tuple[str, ...]
    rows: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True)
class Card:
    """One map, ready to be drawn; `grey`: over the picture without its colours."""

    title: str
    spec: str
    sentence: str
    drawings: tuple[Drawing, ...]
    warnings: tuple[str, ...]
    settings: tuple[Row, ...]
    alt: str
    grey: bool
    outlines: tuple[Outline, ...] = ()
    trust: Trust | None = None


@dataclass(frozen=True)
class OwnFigure:
    """What a method found besides its map, as one drawing; `missing`: why it could not be drawn."""

    title: str
    image: str
    alt: str
    missing: str


@dataclass(frozen=True)
class Chart:
    """The curves of one metric, and its value for every method."""

    title: str
    spec: str
    sentence: str
    better: str
    svg: Markup
    values: tuple[Row, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """One target: what is asked, its maps and how they were judged."""

    question: str
    sentence: str
    cards: tuple[Card, ...]
    figures: tuple[OwnFigure, ...]
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Sheet:
    """One picture with everything about it; `truth`: the outline of what its mask says the object is."""

    name: str
    about: str
    notes: tuple[str, ...]
    photograph: str
    hatching: str | None
    ratio: float
    predictions: tuple[tuple[str, str, float, bool], ...]
    warnings: tuple[str, ...]
    answers: tuple[Answer, ...]
    truth: str = ""

    @property
    def boxed(self) -> bool:
        """Whether boxes are drawn on any of its maps."""
        return any(card.outlines for answer in self.answers for card in answer.cards)


@dataclass(frozen=True, eq=False)
class Result:
    """One map and what was found of it; `regions` (as boxes) and `belief` if they were wanted."""

    attribution: Attribution
    judgements: tuple[Judgement, ...] = ()
    regions: tuple[Region, ...] | None = None
    outlines: tuple[Outline, ...] = ()
    belief: Belief | None = None


@dataclass(frozen=True, eq=False)
class Pictured:
    """One picture, all its results, the (height, width) that it has in its file, and the outline of the object."""

    results: tuple[Result, ...]
    size: tuple[int, int]
    truth: Loops = ()


def pictured(results: Sequence[Result], truth: Loops = ()) -> Pictured:
    """All results of one picture, with the picture as small as a page shows it: a run of many fits in memory.

    `truth` is the object's outline, where it is known and to be drawn.
    """
    picture = results[0].attribution.picture
    rgb = layers.thumbnail(picture.rgb)
    small = replace(picture, rgb=rgb)
    frame = replace(results[0].attribution.frame, picture=small.size)
    kept = [replace(one, attribution=_light(one.attribution, small, frame)) for one in results]
    return Pictured(tuple(kept), picture.size, truth)


def _light(attribution: Attribution, picture: Picture, frame: Frame) -> Attribution:
    """An attribution without what a page does not draw."""
    return replace(attribution, picture=picture, frame=frame, channels=None, pixels=attribution.pixels.new_empty(0))
