"""Timing: everybody in turn, round after round, so that what disturbs the machine disturbs all alike."""

from __future__ import annotations

import ctypes
import gc
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias

from speed.races import Maps

Clock: TypeAlias = Literal["wall", "cpu"]
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
MIB = 1 << 20


@dataclass(eq=False)
class Contestant:
    """Somebody in a race, and what was measured of them.

    Attributes:
        name: as in the results: the package, and how.
        run: one go, timed.
        first: a short go before, which is not timed.
        shares: with which goes it shares what is prepared once: those of the same word.
        seconds: of each go.
        peak: bytes at the most over what the process held before the first go: what stays, and the highest on top.
        maps: of the last go.
        failed: why it was not measured.
    """

    name: str
    run: Callable[[], Maps]
    first: Callable[[], Maps]
    shares: str = ""
    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    maps: Maps = ()
    failed: str = ""

    @property
    def middle(self) -> float:
        """The median of the times."""
        return median(self.seconds)


def race(contestants: list[Contestant], repeats: int, clock: Clock, say: Callable[[str], None]) -> None:
    """One untimed go each, then `repeats` timed rounds; who fails is out, and the reason is kept."""
    for one in contestants:
        _go(one, clock, timed=False)
    for number in range(repeats):
        # Every other round backwards: what the one before leaves in the caches helps nobody always.
        for one in contestants if number % 2 == 0 else reversed(contestants):
            _go(one, clock, timed=True)
            if not one.failed:
                say(f"    {one.name}: {one.seconds[-1]:.2f} s")


def _go(one: Contestant, clock: Clock, *, timed: bool) -> None:
    if one.failed:
        return
    _settle()
    before = resident()
    forget_peak()
    begun = CLOCKS[clock]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a package's warnings are its own business
            maps = one.run() if timed else one.first()
    except Exception as error:
        # Whatever a package raises, the others go on, and the page tells the reason.
        one.failed = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"[:200]
        return
    seconds, highest = CLOCKS[clock]() - begun, peak()
    if timed:
        one.seconds.append(seconds)
        one.maps = maps
        one.peak = max(one.peak, _STAYED.get((one.name, one.shares), 0) + highest - before)
    else:
        del maps
        _settle()
        stayed = _STAYED.get((one.name, one.shares), 0)
        _STAYED[one.name, one.shares] = max(stayed, resident() - before)
        one.peak = highest - before


_STAYED: dict[tuple[str, str], int] = {}
"""Bytes that stay after somebody's first go: what was prepared once, and is used by later goes and by later races that
share it."""


def _settle() -> None:
    """Give back what is free, so that the next one's memory is its own."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def resident() -> int:
    """Bytes of memory that the process holds now."""
    return _status("VmRSS")


def peak() -> int:
    """Bytes that it has held at the most since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the highest memory be counted from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))
