"""One race on one network: everybody gets ready, runs in turn, and their maps are compared."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from parity.rows import apart, spearman

from speed.clock import MIB, Clock, Contestant
from speed.clock import race as run_race
from speed.limit import Plain, limit
from speed.races import Make, Maps, Peer, Race
from speed.store import Entry, Record
from speed.subjects import Asked

OURS = {"float32": "float32", "fast": "precision=fast"}


@dataclass(frozen=True, kw_only=True)
class How:
    """How a run measures.

    Attributes:
        mode: `quick`, `share` or `full`.
        threads: of torch.
        clock: wall time, or processor time of this process, which what else runs does not lengthen so much.
        repeats: rounds at most.
        about: the machine and the versions.
        say: told what happens.
    """

    mode: str
    threads: int
    clock: Clock
    repeats: int
    about: dict[str, Any]
    say: Callable[[str], None]


def measure(race: Race, asked: Asked, plain: Plain, how: How) -> Record:
    """Run a race."""
    parts = race.parts_run(how.mode)
    given, whole = _given(race, asked, parts), _given(race, asked, race.own_parts(how.mode))
    peers = [peer for peer in race.peers if asked.subject in peer.networks]
    layouts = {"given": given}
    if asked.subject != "ViT-Tiny":
        layouts["channels last"] = given.channels_last()
    own = race.own_parts(how.mode)
    shares = "forward" if race.forward and not race.both else "gradients"
    contestants = {(name, "given"): _contestant(name, race.ours(name), whole, own, race.warm) for name in OURS}
    for layout, laid in layouts.items():
        for peer in peers:
            contestants[peer.name, layout] = _contestant(f"{peer.name}, {layout}", peer.make, laid, parts, race.warm)
    for one in contestants.values():
        one.shares = shares
    before = os.getloadavg()[0]
    run_race(list(contestants.values()), min(race.repeats, how.repeats), how.clock, how.say)
    if own != parts:
        _make_comparable(race, contestants, given, parts)
    return Record(
        race=race.key,
        network=asked.subject,
        parts=parts,
        of=race.parts,
        title=race.title,
        note=race.note if own == parts else f"{race.note}; ours is run whole and not scaled",
        targets=list(race.targets.get(asked.subject, ())),
        within=race.within,
        threads=how.threads,
        clock=how.clock,
        date=time.strftime("%Y-%m-%d %H:%M"),
        load=[round(before, 1), round(os.getloadavg()[0], 1)],
        about=how.about,
        limit={precision: _rounded(limit(race, plain, precision)) for precision in OURS},
        plain={key: {way: _digits(time) for way, time in ways.items()} for key, ways in plain.items()},
        entries=_entries(race, peers, contestants, parts, own),
    )


def _given(race: Race, asked: Asked, parts: int) -> Asked:
    given = asked.first(race.pictures)
    return race.ready(given, parts) if race.ready else given


def _make_comparable(race: Race, contestants: dict[tuple[str, str], Contestant], given: Asked, parts: int) -> None:
    """Put in the place of our maps those of as many parts as the others ran."""
    for name in OURS:
        if not contestants[name, "given"].failed:
            contestants[name, "given"].maps = race.ours(name)(given, parts)


def _contestant(name: str, make: Make, asked: Asked, parts: int, warm: int | None) -> Contestant:
    def plain() -> Maps:
        with torch.no_grad():
            return list(asked.network(asked.pixels))

    def first() -> Maps:
        return make(asked, min(parts, warm or parts)) if warm or name in OURS else plain()

    return Contestant(name, lambda: make(asked, parts), first)


def _entries(
    race: Race, peers: list[Peer], contestants: dict[tuple[str, str], Contestant], parts: int, own: int
) -> list[Entry]:
    exact, found = contestants["float32", "given"].maps, []
    known = {peer.name: peer for peer in peers}
    for (name, layout), one in contestants.items():
        peer = known.get(name)
        entry = Entry(name=name, call=peer.call if peer else OURS[name], layout=layout, failed=one.failed)
        if not one.failed:
            times = (
                race.parts
                / (parts if peer else own)
                * (race.pictures / peer.pictures if peer and peer.pictures else 1)
                * (1 + (peer is not None and peer.half))
            )
            entry = replace(
                entry,
                seconds=_digits(one.middle * times),
                each=[_digits(seconds) for seconds in one.seconds],
                memory=round(one.peak / MIB, 1),
            )
            if name != "float32" and (peer is None or peer.compare) and exact:
                order, far = agreement(exact, one.maps, peer)
                entry = replace(entry, spearman=order, difference=far)
        found.append(entry)
    return found


def agreement(exact: Maps, maps: Maps, peer: Peer | None) -> tuple[float | None, float]:
    """The least correlation of ranks, and the largest relative difference, over all maps of both."""
    each = []
    for place, (own, theirs) in enumerate(zip(exact, maps, strict=True)):
        fit = peer.fits[place % len(peer.fits)] if peer and peer.fits else None
        one, other = own.squeeze(), theirs.squeeze().cpu()
        one = (fit(one, other) if fit else one).squeeze().double()
        if one.shape != other.shape:
            raise ValueError(f"maps of {tuple(one.shape)} and {tuple(other.shape)}")
        each.append((spearman(one, other.double()) if one.numel() > 1 else None, apart(one, other.double())))
    orders = [order for order, _ in each if order is not None]
    return _rounded(min(orders, default=None)), _digits(max(far for _, far in each))


def _digits(number: float) -> float:
    return float(f"{number:.4g}")


def _rounded(number: float | None) -> float | None:
    return None if number is None else _digits(number)


def set_threads(threads: int) -> None:
    """As many as asked for, for torch."""
    torch.set_num_threads(threads)
