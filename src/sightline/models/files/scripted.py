"""A TorchScript program as a function that autograd goes through; there are no layers to look at."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch.jit._fuser import optimized_execution  # public, as torch.jit.optimized_execution, but not typed

from sightline.errors import ModelError
from sightline.images.prepare import Preparation
from sightline.models.files.port import Port
from sightline.models.files.program import EQUAL, farthest, trial_pixels, why_alone
from sightline.models.outputs import scores_of
from sightline.models.sources.base import first_line
from sightline.types import Pixels, Scores

_SETTING = threading.RLock()
_SIDES = (224, 256, 299, 384, 128, 96, 64, 32, 28)


class Scripted:
    """Calls a program on the CPU.

    Attributes:
        alone: why it is asked about one picture at a time, in words; None where it is not.
    """

    def __init__(self, program: Any, output: str | int | None) -> None:
        self.alone: str | None = None
        self._program = program
        self._output = output

    def __call__(self, pixels: Pixels) -> Scores:
        parts = pixels.split(1) if self.alone else (pixels,)
        # Without the optimiser, which rewrites the program after its first runs: the same pixels give the same bits.
        # That setting is the whole process's, so that threads wait for each other.
        with _SETTING, optimized_execution(False):
            found = [scores_of(self._scores(self._program(part)), len(part)) for part in parts]
        return torch.cat(found)

    def _scores(self, output: Any) -> Any:
        if self._output is None:
            return output
        try:
            word = self._output
            return output[int(word) if isinstance(output, tuple | list) else word]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ModelError(f"the program has no output {self._output!r}") from error

    def tried(self, preparation: Preparation | None) -> Port:
        """Run on random pictures: which size it takes, whether it repeats itself, whether in batches.

        Args:
            preparation: what is known of its pictures; without it, usual sizes are tried.

        Returns:
            the first port that fits.

        Raises:
            ModelError: it takes none of the sizes, or answers the same pictures differently.
        """
        port, pixels, each = self._first_fit(_ports(preparation))
        with torch.no_grad():
            again = torch.cat([self(one) for one in pixels.split(1)])
            if not farthest(again, each) <= EQUAL:
                raise ModelError(
                    "this program answers the same pictures differently each time (was it traced in training mode?): "
                    "a map would show chance; save it again after network.eval()"
                )
            self.alone = why_alone(self, each, pixels)
        return port

    def _first_fit(self, ports: list[Port]) -> tuple[Port, Pixels, Scores]:
        reason = ""
        for port in ports:
            pixels = trial_pixels(port, 3)
            try:
                with torch.no_grad():
                    return port, pixels, torch.cat([self(one) for one in pixels.split(1)])
            except ModelError as error:
                reason = str(error)
            except Exception as error:
                # TorchScript fails on a size in its own ways (RuntimeError, torch.jit.Error); the reason is passed on.
                reason = _reason(error)
        sizes = ", ".join(dict.fromkeys(f"{port.channels}×{port.size[0]}×{port.size[1]}" for port in ports))
        raise ModelError(f"this program answers about one picture of none of these sizes: {sizes} ({reason})")


def _ports(preparation: Preparation | None) -> list[Port]:
    def port(channels: int, size: tuple[int, int]) -> Port:
        return Port(name="pixels", layout="b c h w", batch=None, channels=channels, size=size)

    if preparation is not None:
        exact = preparation.resize if isinstance(preparation.resize, tuple) else None
        if size := preparation.crop or exact:
            return [port(len(preparation.mean), size)]
    counts = (3, 1) if preparation is None else (len(preparation.mean),)
    return [port(channels, (side, side)) for channels in counts for side in _SIDES]


def _reason(error: BaseException) -> str:
    """The last line that TorchScript says: the error itself, after the code where it happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:160] if lines else first_line(error)
