"""One map, made and judged: by its place for every photograph, by its curves for the first ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

import sightline
from quality.contestants import Array, Case, Contestant, Found
from quality.networks import judging
from quality.peers import NOT_MEASURED
from quality.photographs import Photograph, in_turns
from quality.schedule import Schedule
from quality.sheet import METHODS, PICTURES, Maps
from quality.store import Note, Row, Scene, Store
from sightline.errors import SightlineError
from sightline.images.load import load as load_picture
from sightline.models.classifier import Classifier
from sightline.passes.runner import Precision

PLACE = ("pointing-game", "relevance-mass")
CURVES = ("deletion(steps=28)", "insertion(steps=28)")
SAME = 1e-3
"""Two maps are the same where they differ nowhere by more than this part of the largest value."""
SKIPPED = {("sightline", "ss-cam"): 20_480, ("sightline", "is-cam"): 20_480}
"""Passes of the methods that take more than ten minutes of a core for a photograph."""


@dataclass
class Judge:
    """Judges maps of photographs, and remembers whose curves it has run on the photograph at hand.

    Attributes:
        classifier: asked for the curves.
        precision: of the passes for the curves.
    """

    classifier: Classifier
    precision: Precision = "fast"
    _known: list[tuple[str, Array, float, float]] = field(default_factory=list)
    _picture: Photograph | None = None

    def place(self, map: Array, photograph: Photograph) -> tuple[float, float]:
        """Pointing and energy."""
        pointing, energy = self.values(map, photograph, PLACE, mask=photograph.box)
        return pointing, energy

    def curves(self, name: str, map: Array, photograph: Photograph) -> tuple[float, float, str | None]:
        """Deletion and insertion, and whose they are where the same map was judged before."""
        if photograph is not self._picture:
            self._known, self._picture = [], photograph
        scaled = map / max(float(np.abs(map).max()), 1e-30)
        for other, before, deletion, insertion in self._known:
            if float(np.abs(scaled - before).max()) <= SAME:
                return deletion, insertion, other
        deletion, insertion = self.values(map, photograph, CURVES)
        self._known.append((name, scaled, deletion, insertion))
        return deletion, insertion, None

    def values(self, map: Array, photograph: Photograph, metrics: Sequence[str], mask: object = None) -> list[float]:
        """One number for each metric."""
        found = sightline.evaluate(
            self.classifier,
            [map],
            list(metrics),
            mask=[mask] if mask is not None else None,
            picture=photograph.path,
            target=photograph.label,
            precision=self.precision,
        )
        assert isinstance(found, list)
        return [judgement.value for judgement in found]


def timed(contestant: Contestant, case: Case) -> tuple[Found, float]:
    """A map and its seconds of one core, which others' work does not lengthen."""
    start = time.process_time()
    found = contestant.make(case)
    return found, time.process_time() - start


def judged(
    contestant: Contestant, made: tuple[Found, float], judge: Judge, photograph: Photograph, *, curves: bool
) -> Row:
    """The row of one method on one photograph."""
    found, seconds = made
    pointing, energy = judge.place(found.map, photograph)
    deletion, insertion, like = judge.curves(contestant.name, found.map, photograph) if curves else (None, None, None)
    return Row(
        tool=contestant.tool,
        method=contestant.method,
        settings=contestant.settings,
        precision=contestant.precision,
        picture=photograph.path.name,
        pointing=pointing,
        energy=energy,
        deletion=deletion,
        insertion=insertion,
        forward=found.forward,
        backward=found.backward,
        seconds=round(seconds, 3),
        like=like,
    )


@dataclass(frozen=True)
class Bench:
    """All that a run needs."""

    classifier: Classifier
    photographs: Sequence[Photograph]
    store: Store
    maps: Maps
    curves: int
    passes: int
    say: Callable[[str], None]

    def run(self, contestants: Sequence[Contestant], seconds: float, share: float) -> None:
        """Measure until the time is over; what cannot be measured is noted with its reason.

        Args:
            contestants: who is measured.
            seconds: after so much time nothing new is begun.
            share: seconds of one core that each may use for its maps, those in the store included.
        """
        able = {one.name: one for one in contestants if self._able(one)}
        judge, failed = Judge(judging(self.classifier)), set[str]()
        schedule = self._schedule(able, seconds, share)
        for name, place in schedule.turns():
            one, photograph = able[name], self.photographs[place]
            if name in failed:
                continue
            try:
                made = timed(one, case_of(self.classifier, photograph))
                row = judged(one, made, judge, photograph, curves=place < self.curves)
            except (SightlineError, RuntimeError, AssertionError, TypeError, ValueError, AttributeError) as error:
                # A method that a package refuses, or breaks off in any way of its own, is a finding and no end.
                self._note(one, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}")
                failed.add(name)
                continue
            self.store.add(row)
            if one.tool == "sightline" and one.method in METHODS and place < PICTURES:
                self.maps.keep(one.method, photograph, made[0].map)
            schedule.spend(name, row.seconds)
            self.say(f"{place + 1} {name}: {row.pointing:.0f} {row.energy:.2f} {row.faithful} {row.seconds:.1f} s")
        measured = {(tool, method) for tool, method, _, _ in self.store.rows()} | set(self.store.notes())
        for one in able.values():
            if (one.tool, one.method) not in measured:
                self._note(one, "the time was over before its turn; `make quality` goes on")

    def _able(self, one: Contestant) -> bool:
        """Whether it can be measured at all in reasonable time."""
        passes = SKIPPED.get((one.tool, one.method), 0)
        if passes > self.passes:
            self._note(one, f"{passes:,} passes a photograph at its defaults")
        return passes <= self.passes

    def _schedule(self, able: Mapping[str, Contestant], seconds: float, share: float) -> Schedule:
        """With what is in the store already; a photograph is done with its curves, where they are wanted."""
        schedule, rows = Schedule(list(able), len(self.photographs), seconds, share), self.store.rows()
        for name, one in able.items():
            for place, photograph in enumerate(self.photographs):
                row = rows.get((one.tool, one.method, f"{one.settings} {one.precision}", photograph.path.name))
                if row is not None:
                    schedule.spend(name, row.seconds)
                    if row.deletion is not None or place >= self.curves:
                        schedule.done.add((name, place))
        return schedule

    def _note(self, one: Contestant, why: str) -> None:
        if self.store.notes().get((one.tool, one.method)) != why:
            self.store.add(Note(tool=one.tool, method=one.method, why=why))
        self.say(f"{one.name}: not measured: {why}")


def prepare(store: Store, photographs: Sequence[Photograph]) -> None:
    """Note what the page must know of the photographs, and the peers' methods that take too many passes."""
    known = store.shares()
    for photograph in photographs:
        if photograph.path.name not in known:
            store.add(Scene(picture=photograph.path.name, share=photograph.share))
    for (tool, method), why in NOT_MEASURED.items():
        if store.notes().get((tool, method)) != why:
            store.add(Note(tool=tool, method=method, why=why))


def case_of(classifier: Classifier, photograph: Photograph) -> Case:
    """A photograph before the network."""
    assert classifier.preparation is not None
    pixels, _ = classifier.preparation.prepare(load_picture(photograph.path))
    return Case(classifier, photograph.path, pixels, photograph.label)


def chosen(store: Store, classifier: Classifier, photographs: Sequence[Photograph], count: int) -> list[Photograph]:
    """The first photographs to be measured, in their order; those that an earlier run chose are not chosen again."""
    known, named = list(store.shares()), {one.path.name: one for one in photographs}
    if len(known) >= count and all(name in named for name in known):
        return [named[name] for name in known[:count]]
    return in_turns(recognised(classifier, photographs))[:count]


def recognised(classifier: Classifier, photographs: Sequence[Photograph]) -> list[Photograph]:
    """Those of which the network gives the true class first."""
    assert classifier.preparation is not None
    pixels = torch.cat([classifier.preparation.prepare(load_picture(one.path))[0] for one in photographs])
    with sightline.Passes(judging(classifier), precision="fast") as passes:
        winners = passes.scores(pixels).argmax(1).tolist()
    return [one for one, winner in zip(photographs, winners, strict=True) if winner == one.label]
