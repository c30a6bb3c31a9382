"""Windows by exact incremental inference, where a network allows it and a trial agrees.

A window changes a small rectangle of the picture, and so at first only small rectangles of the maps inside a network:
they alone are computed, on top of the maps of one clean pass (Nakandala, Kumar, Papakonstantinou, "Incremental and
Approximate Inference for Faster Occlusion-based Deep CNN Explanations", SIGMOD 2019; only its exact part: nothing that
a window can change is left out, and no window is left out).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from sightline.errors import ModelError
from sightline.models.heads import two_sided
from sightline.models.outputs import scores_of
from sightline.passes.non_finite import finite
from sightline.passes.perturbations import Windows
from sightline.passes.runner import Runner
from sightline.passes.windows.order import ordered, share
from sightline.passes.windows.program import Program
from sightline.passes.windows.reach import Integers
from sightline.passes.windows.tracing import UntraceableError
from sightline.passes.windows.walk import Walk
from sightline.types import Pixels, Scores

FEWEST = 32
"""For fewer windows the way there would cost more than it saves."""

MOST_LEFT = 0.75
"""Where more than this part of the multiplications is left, whole passes through the fastest runtime are as fast."""


def in_part(runner: Runner, pixels: Pixels, windows: Windows) -> Scores | None:
    """Scores of pictures, `b c h w`, with each of n windows hidden: `n b k`; None where whole passes must be run.

    Counts as the n·b forward passes that were asked for, though most are done in part; the clean walk of each picture
    and the trial of the first are not counted. Where it may not be done, what ran says why.
    """
    network = runner.network
    if network is None or len(windows) < FEWEST or runner.questions.runtime != "auto":
        return None
    with runner.working(), torch.no_grad(), runner.uncounted():
        try:
            found = _scores(runner, network, pixels, windows)
            words = "torch, windows in part"
        except UntraceableError as error:
            found, words = None, f"windows as whole pictures, since {error}"
        except NoGainError:
            return None
    if found is not None:
        runner.counted(forward=len(windows) * len(pixels))
        runner.numbers.note(runner.numbers.wanted(runner.dtype))
    if words not in runner.questions.ran:
        runner.questions.ran.append(words)
    return found


class NoGainError(Exception):
    """A window changes nearly all of the network's maps."""


def _scores(runner: Runner, network: nn.Module, pixels: Pixels, windows: Windows) -> Scores:
    """Scores `n b k` of all windows.

    Raises:
        UntraceableError: the network does something that is not known well enough.
        NoGainError: whole passes are as fast.
    """
    dtype = _dtype(network)
    numbers = torch.bfloat16 if runner.precision == "fast" else dtype
    program = Program.of(network, numbers, pixels.to(dtype))
    found: list[Scores] = []
    for place in range(len(pixels)):
        one = Windows(windows.boxes, windows.fill[place : place + 1])
        found.append(_of_one(runner, program, pixels[place : place + 1], one, dtype, trial=not found))
    return torch.stack(found, 1)


def _of_one(
    runner: Runner, program: Program, picture: Pixels, windows: Windows, dtype: torch.dtype, *, trial: bool
) -> Scores:
    """Scores of one picture's windows, `n k`."""
    boxes = windows.boxes.cpu().numpy().astype(np.int64)
    given, fill = (
        part.to(runner.device, dtype).contiguous(memory_format=torch.channels_last) for part in (picture, windows.fill)
    )
    try:
        with _precision(runner):
            walk = Walk(program, given, fill, boxes)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:  # a whole pass will say what is wrong
        raise UntraceableError("its graph cannot be walked") from error
    at_once = runner.at_once(picture, gradients="in part")
    order = ordered(walk, at_once)
    if share(walk, order, at_once) > MOST_LEFT:
        raise NoGainError

    def ask(rows: Integers) -> Scores:
        with _precision(runner):
            raw = scores_of(walk.scores(rows), len(rows))
        return two_sided(finite(raw, "score"), runner.head)

    if trial and not _agrees(runner, picture, windows, ask):
        raise UntraceableError("a trial gave other scores than whole passes")
    found = runner.gathered(len(order), picture, lambda part: ask(order[part]), gradients="in part")
    return found[torch.from_numpy(np.argsort(order)).to(found.device)]


def _agrees(runner: Runner, picture: Pixels, windows: Windows, ask: Callable[[Integers], Scores]) -> bool:
    """Whether the first, the middle and the last window get the scores of whole passes."""
    rows = [0, len(windows) // 2, len(windows) - 1]
    hidden = torch.cat([windows.make(picture, slice(row, row + 1)) for row in rows])
    whole = torch.cat([runner.scores(some) for some in hidden.split(runner.at_once(picture, gradients=False))])
    try:
        found = ask(np.array(rows))
    except (ModelError, RuntimeError, TypeError, IndexError):  # a graph that stands for pictures of another batch only
        return False
    # Sums in another order; bfloat16 keeps 8 bits, and a GPU's TF32 10.
    tolerance = 3e-2 if runner.precision == "fast" else 1e-2 if runner.device.type == "cuda" else 1e-4
    return found.shape == whole.shape and bool((found - whole).abs().max() <= tolerance * whole.abs().max())


def _precision(runner: Runner) -> torch.autocast:
    return torch.autocast(runner.device.type, torch.bfloat16, enabled=runner.precision == "fast")


def _dtype(network: nn.Module) -> torch.dtype:
    """What the network computes in.

    Raises:
        UntraceableError: the network's own arithmetic is not plain.
    """
    kinds = {tensor.dtype for tensor in network.parameters() if tensor.is_floating_point()}
    if len(kinds) > 1 or not kinds <= {torch.float32, torch.float64}:
        raise UntraceableError("its weights are not in float32 or float64 throughout")
    return next(iter(kinds), torch.float32)
