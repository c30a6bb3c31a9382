"""Pictures of a contest whose maps are made together: neighbours of one size go through the network at once.

Only methods of few passes are asked so; the others fill their batches by themselves. What is judged, and what it is
called, does not depend on it: a picture's map does not depend on its batch mates.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from sightline.attribution.base import Method
from sightline.attribution.result import Attribution, Explained
from sightline.errors import CancelledError, SightlineError, TargetError, UsageError
from sightline.evaluation.subject import of_attribution
from sightline.models.intake import Prepared, prepare
from sightline.models.targets import Target, resolve
from sightline.passes.passes import Passes
from sightline.runs.contest_book import Contest, Entry, Judged, failure_of
from sightline.runs.groups import room
from sightline.runs.order import Order
from sightline.runs.outcome import About, attribution_of, explained_of
from sightline.types import Count

FAMILIES = ("gradient", "activation", "relevance", "attention")
"""Whose methods ask for few passes, most of them."""
_KEPT = 1 << 28
"""Bytes of maps that wait to be judged, at most."""
_EACH = 8
"""Bytes that a map keeps for each number of its picture, about: itself, its channels, and what goes with it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """One picture of a contest, ready to be explained."""

    place: int
    entry: Entry
    ready: Prepared
    target: Target
    explained: Explained


def asked_together(passes: Passes, contest: Contest) -> Iterator[list[Asked] | dict[str, str]]:
    """Neighbouring pictures whose maps can be made at once, in the order given; a picture that fails in its place.

    The first of each size goes alone: it shows what a pass costs, and which layer suits.

    Raises:
        UsageError: what is wrong with every picture alike.
    """
    group, most, sizes = list[Asked](), 1, set[tuple[int, ...]]()
    for place, entry in enumerate(contest.entries):
        try:
            one = _asked(passes, place, entry)
        except (UsageError, CancelledError):  # wrong with every picture alike, or a wish
            raise
        except SightlineError as error:
            if group:
                yield group
                group = []
            yield failure_of(entry, error)
            continue
        if group and (len(group) == most or not _alike(group[0], one)):
            yield group
            group = []
        if not group:
            shape = tuple(one.ready.pixels.shape)
            most = _most(passes, contest, one) if shape in sizes else 1
            sizes.add(shape)
        group.append(one)
    if group:
        yield group


@dataclass(eq=False)
class Ahead:
    """The maps of a group, made when the first of its pictures asks for them and kept until the others do."""

    passes: Passes
    group: Sequence[Asked]
    waiting: dict[tuple[Method, int], Judged] = field(default_factory=dict)
    alone: set[Method] = field(default_factory=set)

    def map_of(self, asked: Asked, method: Method) -> Judged:
        """The map of one picture by one method, with what it costs by itself."""
        if (method, asked.place) not in self.waiting:
            if len(self.group) == 1 or method in self.alone or method.traits.family not in FAMILIES:
                return made(self.passes, [asked], method)[0]
            try:
                found = made(self.passes, self.group, method)
            except CancelledError:
                raise
            except Exception:  # whatever it is, the picture that it comes of says so when it is explained by itself
                self.alone.add(method)
                return self.map_of(asked, method)
            self.waiting.update({(method, one.place): done for one, done in zip(self.group, found, strict=True)})
        return self.waiting.pop((method, asked.place))


def made(passes: Passes, group: Sequence[Asked], method: Method) -> list[Judged]:
    """The maps of one method for pictures of one size, with a clean pass of their own."""
    pixels = torch.cat([one.ready.pixels for one in group]).to(passes.device)
    target = Target.join([one.target for one in group])
    wants = Order(methods=(method,)).wants(passes.classifier.layer)
    before, start = passes.count, time.perf_counter()
    with passes.shared(pixels, gradients=wants.gradients, layers=wants.layers) as scores:
        maps = method(passes, pixels, target)
        spent, seconds = passes.count - before, (time.perf_counter() - start) / len(group)
        cost = Count(spent.forward // len(group), spent.backward // len(group))
        about = About(passes, scores, target, method, cost - Count(forward=1), seconds, passes.ran())
        found = [attribution_of(about, maps, row, one.ready) for row, one in enumerate(group)]
    return [_judged(one, attribution, cost, seconds) for one, attribution in zip(group, found, strict=True)]


def _judged(asked: Asked, found: Attribution, cost: Count, seconds: float) -> Judged:
    return Judged(
        place=asked.place,
        row=str(found.method),
        ready=asked.ready,
        subject=of_attribution(found),
        explained=found.target,
        judgements=(),
        attribution=found,
        passes=cost,
        seconds=seconds,
    )


def _asked(passes: Passes, place: int, entry: Entry) -> Asked:
    ready = prepare(entry.source, place, passes.classifier)
    scores = passes.scores(ready.pixels.to(passes.device))
    targets = resolve(entry.target, scores, passes.classifier.labels)
    if len(targets) != 1:
        raise TargetError(f"methods are compared for one target a picture, and {entry.target!r} means several")
    explained = explained_of(passes, scores, targets[0])
    return Asked(place=place, entry=entry, ready=ready, target=targets[0], explained=explained)


def _alike(one: Asked, other: Asked) -> bool:
    """Whether two pictures can go through the network together for targets of one kind."""
    same_kind = (one.target.against is None) == (other.target.against is None)
    return same_kind and one.ready.pixels.shape == other.ready.pixels.shape


def _most(passes: Passes, contest: Contest, one: Asked) -> int:
    """How many pictures like this one: as many as go through the network, and whose maps can wait."""
    methods = tuple(method for method in contest.order.methods if method.traits.family in FAMILIES)
    kept = _KEPT // max(1, len(methods) * one.ready.pixels.numel() * _EACH)
    return max(1, min(kept, room(passes, one.ready, Order(methods=methods))))
