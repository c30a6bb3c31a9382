"""A network in a file, run by the library it was written for: forward-only, `b c h w` → `b k`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from sightline.models.files.port import Array, Port
from sightline.models.outputs import scores_of
from sightline.types import Pixels, Scores

Infer = Callable[[Array], Array]

EQUAL = 1e-4  # of the spread of a picture's scores
_BYTES = 255.0
_SIDE = 64  # of the pictures with which a network of any size is tried


class Program:
    """Calls the file's network with as many pictures at once as the file allows.

    Args:
        port: what the file takes.
        infer: from one batch as the file wants it to what it answers.
        scale: what one step of an integer score is worth.
        zero: the integer score that stands for 0.
    """

    def __init__(self, port: Port, infer: Infer, scale: float = 1.0, zero: int = 0) -> None:
        self.port = port
        self._infer = infer
        self._scale, self._zero = scale, zero

    def __call__(self, pixels: Pixels) -> Scores:
        """The scores of pixels, `b k` float32.

        Raises:
            ModelError: pixels that the file does not take, or an answer that is not one row a picture.
        """
        self.port.check(pixels)
        given = self.port.array(pixels)
        at_once = self.port.batch or max(1, len(given))
        rows = [self._scores(given[start : start + at_once], at_once) for start in range(0, len(given), at_once)]
        return torch.cat(rows)

    def _scores(self, some: Array, at_once: int) -> Scores:
        """Scores of at most `at_once` pictures; a fixed batch is filled up with copies of the last picture."""
        full = some if self.port.batch is None else np.concatenate([some, np.repeat(some[-1:], at_once - len(some), 0)])
        found = self._infer(full)
        if np.issubdtype(found.dtype, np.integer):
            found = (found.astype(np.float32) - self._zero) * np.float32(self._scale)
        # A copy, since the library may write its next answer into the same memory.
        return scores_of(torch.from_numpy(np.array(found, np.float32)), len(full))[: len(some)]

    def settled(self) -> tuple[Program, str | None]:
        """The program with a batch that was tried: pictures answered together have to get the scores they get alone.

        Returns:
            this program, or one that answers one picture at a time, with the words that tell why.

        Raises:
            ModelError: one picture alone cannot be answered.
        """
        pixels = trial_pixels(self.port, 3)
        if self.port.batch is not None:
            self(pixels[:1])
            return self, None
        alone = Program(replace(self.port, batch=1), self._infer, self._scale, self._zero)
        why = why_alone(self, alone(pixels), pixels)
        return (self, None) if why is None else (alone, why)


def why_alone(ask: Callable[[Pixels], Scores], each: Scores, pixels: Pixels) -> str | None:
    """Why a network has to be asked about one picture at a time, in words; None where a batch gives the same.

    Args:
        ask: the network.
        each: what it answered about each of the pictures alone.
        pixels: several pictures.
    """
    try:
        apart = farthest(ask(pixels), each)
    except Exception as error:
        # A batch size built into a network fails in its library's own way; that it fails is the answer.
        return f"one picture at a time, since several at once fail ({_line(error)})"
    return (
        None
        if apart <= EQUAL
        else f"one picture at a time, since a batch moves its scores by {apart:.2g} of their spread"
    )


def farthest(one: Scores, other: Scores) -> float:
    """How far two answers about the same pictures lie apart, in parts of the spread of each picture's scores."""
    if one.shape != other.shape:
        return math.inf
    one, other = one.detach().double(), other.detach().double()
    spread = other.amax(1) - other.amin(1) if other.shape[1] > 1 else other.abs().amax().expand(len(other))
    # Where a picture moves nothing at all, rounding alone is left: it is held against the other pictures' spread.
    spread = spread.clamp_min(max(1e-3 * float(spread.amax()), 1e-12))
    apart = float(((one - other).abs().amax(1) / spread).amax())
    return math.inf if math.isnan(apart) else apart


def trial_pixels(port: Port, pictures: int, seed: int = 0) -> Pixels:
    """Pictures to try a network with, `b c h w`: half blotches, half noise, over the ranges that are usual."""
    height, width = (side or _SIDE for side in port.size)
    draw = torch.Generator().manual_seed(seed)
    shape = (pictures, port.channels)
    coarse = torch.rand((*shape, 7, 7), generator=draw)
    blotches = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    values = (blotches + torch.rand((*shape, height, width), generator=draw)) / 2
    if port.integers:
        limits = np.iinfo(port.numbers)
        return (values * (int(limits.max) - int(limits.min)) + int(limits.min) - port.zero) * port.scale
    values[1::3] = values[1::3] * 4 - 2  # about what means and deviations make of a picture
    values[2::3] *= _BYTES
    return values


def _line(error: BaseException) -> str:
    """What an error says, in one line of at most 120 characters; TorchScript says it last, after its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if "TorchScript interpreter" in lines[0] else 0][:120]
