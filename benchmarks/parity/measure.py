"""Measuring: every row on every photograph, network by network, in processes that share nothing."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context

from parity import subjects
from parity.rows import EVERY, LAYERS, MANY, Case, Row, compare
from parity.store import Record
from parity.subjects import Data
from parity.table import PEERS, rows


@dataclass(frozen=True)
class Found:
    """What one photograph before one network gave: records, and what was said of comparisons that raised."""

    network: str
    records: list[Record]
    failures: list[str]


@dataclass(frozen=True)
class Wanted:
    """Which comparisons.

    Attributes:
        only: of which peers and methods, as patterns.
        dear: of those that take long on a network "all", "only" these or "none".
        photographs: how many there are.
        first: how many of these are looked at.
        done: the keys of those that are not to be made again.
    """

    only: str
    dear: str
    photographs: int
    first: int
    done: frozenset[tuple[str, ...]] = frozenset()

    def rows(self, network: str, place: int) -> Iterator[Row]:
        """The rows for one photograph before one network."""
        for row in rows(self.only):
            fits = self.dear == "all" or (network in row.dear) == (self.dear == "only")
            if fits and network in row.networks and place < MANY:
                yield row


def measure(data: Data, wanted: Wanted, networks: Sequence[str], workers: int) -> Iterator[Found]:
    """The records of one photograph before one network beside one peer after another, as they are done."""
    asked = rows(wanted.only)
    peers = [peer.name for peer in PEERS if any(row.peer == peer.name for row in asked)]
    chosen = [name for name in EVERY if name in networks and any(name in row.networks for row in asked)]
    # One photograph is done everywhere before the next, and the second network takes longest: it begins first.
    places = range(min(wanted.first, wanted.photographs))
    work = [(name, place, peer) for place in places for name in reversed(chosen) for peer in peers]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        started = [pool.submit(one, data, wanted, *piece) for piece in work]
        for done in as_completed(started):
            if done.result().records or done.result().failures:
                yield done.result()


def one(data: Data, wanted: Wanted, name: str, place: int, peer: str) -> Found:
    """All rows of a peer on one photograph before one network."""
    import torch

    torch.set_num_threads(1)
    photograph = data.photographs(wanted.photographs)[place][0].name
    found = Found(name, [], [])
    for row in wanted.rows(name, place):
        for layer in LAYERS[name][row.where] if row.peer == peer else ():
            if (row.peer, row.ours, row.call, name, layer, photograph) in wanted.done:
                continue
            try:
                case = replace(subjects.case(data, name, place, wanted.photographs), layer=layer)
                found.records.append(record(row, case))
            except Exception as error:
                # Whatever a peer raises, the others go on, and which comparison it was is told.
                said = "".join(traceback.format_exception(error)[-2:]).strip()
                found.failures.append(f"{row.ours} beside {row.peer} {row.call}, {name}, {photograph}: {said}")
    return found


def record(row: Row, case: Case) -> Record:
    """One comparison."""
    found = compare(row, case)
    if row.tolerance is not None and found.difference > row.tolerance:
        where = f"{row.ours} beside {row.peer} {row.call}, {case.subject} {case.layer}, {case.photograph}"
        print(f"over {row.tolerance:g}: {where}: {found.difference:.2e}", file=sys.stderr, flush=True)
    seconds = (round(found.seconds[0], 2), round(found.seconds[1], 2))
    kept = (case.subject, case.layer, case.photograph, found.difference, found.spearman, seconds)
    return Record(row.peer, row.ours, row.call, *kept)
