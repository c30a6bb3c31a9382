"""Measuring: every row on every photograph, network by network, in processes that share nothing."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context

from parity.rows import EVERY, LAYERS, MANY, Case, Row, compare
from parity.store import Record
from parity.subjects import Data, cases
from parity.table import rows


@dataclass(frozen=True)
class Found:
    """What one photograph before one network gave: records, and what was said of comparisons that raised."""

    network: str
    records: list[Record]
    failures: list[str]


def measure(
    data: Data, only: str, dear: str, networks: Sequence[str], photographs: int, workers: int
) -> Iterator[Found]:
    """The records of one photograph before one network after another, as they are done."""
    chosen = [name for name in EVERY if name in networks and any(name in row.networks for row in rows(only))]
    # The first photographs have most rows, and the second network takes longest: they begin first.
    work = [(name, place) for place in range(photographs) for name in reversed(chosen)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        started = [pool.submit(one, data, only, dear, name, place, photographs) for name, place in work]
        for done in as_completed(started):
            yield done.result()


def one(data: Data, only: str, dear: str, name: str, place: int, photographs: int) -> Found:
    """All rows on one photograph before one network."""
    import torch

    torch.set_num_threads(1)
    ((_, case),) = cases(data, name, [place], photographs)
    found = Found(name, [], [])
    for row in rows(only):
        fits = dear == "all" or (row.photographs < MANY) == (dear == "only")
        if fits and name in row.networks and place < row.photographs_on(name):
            for layer in LAYERS[name][row.where]:
                try:
                    found.records.append(record(row, replace(case, layer=layer)))
                except Exception as error:
                    # Whatever a peer raises, the others go on, and which comparison it was is told.
                    said = "".join(traceback.format_exception(error)[-2:]).strip()
                    found.failures.append(f"{row.ours} beside {row.peer} {row.call}, {name}, {case.photograph}: {said}")
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
