"""The whole process: `sightline explain` with the built-in network, beside nothing but importing torch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import TYPE_CHECKING

from speed.store import Entry, Record

if TYPE_CHECKING:
    from speed.measure import How

KEY, NETWORK = "process", "demo"
TITLE = "`sightline explain demo:dog-and-cat`, the whole process"
FACTOR, EXTRA = 1.5, 0.7
"""It may take so many times the import of torch, and so many seconds more."""


def measure(how: How) -> Record:
    """Both processes in turn, a first untimed go each."""
    times: dict[str, list[float]] = {"float32": [], "import torch": []}
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        explain = [sys.executable, "-m", "sightline", "explain", "demo:dog-and-cat", "--out", folder, "--overwrite"]
        commands = {"float32": explain, "import torch": [sys.executable, "-c", "import torch"]}
        for number in range(how.repeats + 1):
            for name, command in commands.items():
                begun = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, env=_environment(how.threads))
                if number:
                    times[name].append(round(time.perf_counter() - begun, 3))
                    how.say(f"    {name}: {times[name][-1]:.2f} s")
    calls = {"float32": "sightline explain", "import torch": "python -c 'import torch'"}
    entries = [
        Entry(name=name, call=calls[name], seconds=round(median(each), 3), each=each) for name, each in times.items()
    ]
    return Record(
        race=KEY,
        network=NETWORK,
        parts=1,
        of=1,
        title=TITLE,
        note="",
        targets=[],
        within=None,
        threads=how.threads,
        clock="wall",
        date=time.strftime("%Y-%m-%d %H:%M"),
        load=[round(before, 1), round(os.getloadavg()[0], 1)],
        about=how.about,
        limit={},
        plain={},
        entries=entries,
    )


def allowed(record: Record) -> tuple[float, float]:
    """Seconds that it took, and that it may take."""
    seconds = {one.name: one.seconds or 0.0 for one in record.entries}
    return seconds["float32"], FACTOR * seconds["import torch"] + EXTRA


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}
