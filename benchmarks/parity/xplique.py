"""Xplique lives in an environment of its own, since TensorFlow does; answers come over as files."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from parity.subjects import Data

# What asks has torch and what stands on it; Xplique's own packages go first. Triton's LLVM and TensorFlow's abort each
# other, so that torch has to go without it.
BEGIN = (
    "import runpy, sys; sys.path.append({site!r}); sys.modules['triton'] = None; "
    "runpy.run_module('parity.xplique_worker', run_name='__main__')"
)
HERE = Path(__file__).resolve().parent


def folder() -> Path:
    """Where answers lie: a new place whenever what is asked, or how, was changed."""
    asked = b"".join((HERE / f"xplique_{part}.py").read_bytes() for part in ("rows", "worker"))
    return HERE.parents[1] / "sightline-out" / "parity" / hashlib.sha256(asked).hexdigest()[:12]


class MissingXpliqueError(SystemExit):
    """Xplique's environment was not made."""


@lru_cache(maxsize=8)
def answered(network: str, photograph: str) -> dict[str, torch.Tensor]:
    """What Xplique answered about a photograph, by the names that `xplique_worker.py` gives its maps."""
    with np.load(folder() / f"{network}-{photograph}.npz", allow_pickle=False) as kept:
        return {name: torch.from_numpy(kept[name]) for name in kept.files}


@dataclass(frozen=True)
class Drawn:
    """The interpreter that has Xplique make its answers."""

    python: Path

    def make(self, data: Data, networks: Sequence[str], photographs: tuple[int, int], workers: int) -> None:
        """Have all answers made about so many photographs, or the first of them, some networks side by side.

        Raises:
            MissingXpliqueError: no such interpreter.
            subprocess.CalledProcessError: the worker failed; what it said stands above.
        """
        if not self.python.is_file():
            raise MissingXpliqueError(
                f"Xplique has no environment at {self.python.parent.parent}: make parity makes it"
            )
        folder().mkdir(parents=True, exist_ok=True)
        waiting, running = list(networks), list[subprocess.Popen[bytes]]()
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(self._started(data, waiting.pop(), photographs))
            if code := running.pop(0).wait():
                raise subprocess.CalledProcessError(code, "parity.xplique_worker")

    def version(self) -> dict[str, str]:
        """Xplique's and TensorFlow's versions, if they are installed."""
        if not self.python.is_file():
            return {}
        told = "from importlib.metadata import version as v; print(v('xplique'), 'on TensorFlow', v('tensorflow-cpu'))"
        done = subprocess.run([self.python, "-c", told], capture_output=True, text=True, check=True)
        return {"xplique": done.stdout.strip()}

    def _started(self, data: Data, network: str, photographs: tuple[int, int]) -> subprocess.Popen[bytes]:
        """The worker for one network; it finds torch and Sightline where this process has them."""
        benchmarks = HERE.parent
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(benchmarks), str(benchmarks.parent / "src")]),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        given = [str(data.folder), str(data.weights), network, *map(str, photographs), str(folder())]
        begin = BEGIN.format(site=str(Path(torch.__file__).parents[1]))
        return subprocess.Popen([str(self.python), "-c", begin, *given], env=environment)
