"""How long a benchmark would take, told before it begins; and what to leave out where there is less time.

Nothing is explained: the demo network's passes are timed on one scene, and what each method asks for is foretold
(`sightline.runs.plan`). One round of training on a few scenes is timed, too. Drawing the scenes and judging the maps
come on top.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sightline.attribution.base import Method
from sightline.demo.network import INPUT_SIZE
from sightline.demo.scenes import PICTURES, render_image
from sightline.errors import UsageError
from sightline.evaluation.worlds.contest import MAPS_A_SCENE
from sightline.evaluation.worlds.nulls import NULLS
from sightline.evaluation.worlds.retraining import LABELLED, LEARN_BY_HEART, Retraining
from sightline.evaluation.worlds.small import Small, split, trained
from sightline.models.catalogue import load
from sightline.runs.benchmark import AGAIN, AGAIN_PASSES, Setting, piece
from sightline.runs.order import Order
from sightline.runs.plan import plans_and_refusals

_SCENE = "dog-and-cat"
_BATCHES = 2
"""Of training that are timed; the first of all is slower, so that this is done twice."""


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """What a benchmark would take on this machine, in seconds.

    Attributes:
        maps: how many maps each method makes.
        contest: method → all of its maps.
        untold: methods of which nothing is foretold: they are refused, or do not tell.
        again: what training again takes that does not go by the methods; 0 where nothing is trained.
        each_again: method → what it adds where training is repeated.
    """

    maps: int
    contest: Mapping[Method, float]
    untold: tuple[Method, ...] = ()
    again: float = 0.0
    each_again: Mapping[Method, float]

    @property
    def contest_seconds(self) -> float:
        """All maps of all methods on the scenes."""
        return sum(self.contest.values())

    @property
    def again_seconds(self) -> float:
        """All that has to do with training again."""
        return self.again + sum(self.each_again.values())


def foretold(wanted: Setting) -> Foretold:
    """What a benchmark would take."""
    order = Order(methods=wanted.methods)
    plans, refused = plans_and_refusals(load("demo"), render_image(PICTURES[_SCENE]), order)
    maps = sum(many * MAPS_A_SCENE[sort] for sort, many in wanted.scenes.items())
    untold = tuple(refused)
    contest = {plan.method: maps * plan.seconds for plan in plans}
    small = wanted.small
    if small is None:
        return Foretold(maps=maps, contest=contest, untold=untold, each_again={})
    training, trainings = _training_seconds(small), len(small.shares) * small.seeds
    pictures = small.scenes + small.held_out + 2 * LABELLED
    smaller = (small.size / INPUT_SIZE) ** 2
    each = {
        plan.method: trainings * training + pictures * smaller * plan.seconds
        for plan in plans
        if plan.passes.forward + plan.passes.backward <= AGAIN_PASSES
    }
    alone = training * (small.seeds + 1 + LEARN_BY_HEART + trainings * len(NULLS))
    return Foretold(maps=maps, contest=contest, untold=untold, again=alone, each_again=each)


def still(known: Foretold, small: Small | None, done: Collection[str]) -> Foretold:
    """What is left of it where pieces are known already, by their names (`sightline.runs.unfinished`)."""
    contest = {method: 0.0 if piece(method) in done else seconds for method, seconds in known.contest.items()}
    if small is None:
        return replace(known, contest=contest)
    named = Retraining(small).piece
    each = {method: 0.0 if named(method) in done else seconds for method, seconds in known.each_again.items()}
    return replace(known, contest=contest, each_again=each)


def within(wanted: Setting, known: Foretold, minutes: int) -> Setting:
    """The setting that fits into so many minutes.

    The dearest methods are left out first; training is repeated where all that is left of the time is enough for it.

    Raises:
        UsageError: not even the cheapest method fits.
    """
    room, kept = 60.0 * minutes, set[Method]()
    for method, seconds in sorted(known.contest.items(), key=lambda one: one[1]):
        if seconds <= room:
            room -= seconds
            kept.add(method)
    if known.contest and not kept:
        least = min(known.contest.values())
        raise UsageError(
            f"--minutes {minutes}: the {known.maps} maps of one method take {_minutes(least)} or more: give more "
            "minutes, or --quick"
        )
    left_out = {
        str(method): f"its {known.maps} maps would take about {_minutes(seconds)}: no room in {minutes} minutes"
        for method, seconds in known.contest.items()
        if method not in kept
    }
    again = known.again + sum(seconds for method, seconds in known.each_again.items() if method in kept)
    small = wanted.small
    if small is not None and again > room:
        left_out[AGAIN] = f"it would take about {_minutes(again)}: no room in {minutes} minutes"
        small = None
    methods = tuple(method for method in wanted.methods if method in kept or method not in known.contest)
    return replace(wanted, methods=methods, small=small, left_out=left_out)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes"


def _training_seconds(small: Small) -> float:
    """One training, by the pace of a few batches."""
    batch = small.recipe.batch
    few = replace(small, scenes=_BATCHES * batch, held_out=1, epochs=1)
    pictures, found = split(few).learnt, []
    for _ in range(2):
        start = time.perf_counter()
        trained(pictures, few, small.seed)
        found.append(time.perf_counter() - start)
    return min(found) / _BATCHES * (small.scenes // batch) * small.epochs
