"""Both passes of a network as two compiled programs, for batches of one size."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from sightline.models.classifier import Classifier
from sightline.passes.runtimes.gradients.halves import Backward, Forward, handed
from sightline.passes.runtimes.gradients.joint import joint
from sightline.passes.runtimes.kept import agree
from sightline.passes.runtimes.openvino_program import Numbers, compiled, converted
from sightline.types import ChannelMap, Pixels, Scores

_TOLERANCE: dict[Numbers, float] = {"f32": 1e-4, "bf16": 5e-2}  # of the largest gradient, the kinks being given
_ALIKE = 0.98  # cosine of the whole gradient: rounding puts some values on the other side of a kink
_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class BothPasses:
    """The way forward in float32, `b c h w` → `b k`, and the way back in float32 or bfloat16.

    The weights are its own copy, as those of `Program`.

    Attributes:
        size: how many pictures go through at once.
        numbers: what the way back is computed in.
        pace: seconds a picture, there and back, when it was made.
    """

    size: int
    numbers: Numbers
    pace: float
    _forward: Any
    _backward: Any
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Inside, no other thread comes between the way forward and the way back; False where one is at work."""
        mine = self._lock.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._lock.release()

    def scores(self, pixels: Pixels) -> Scores:
        """Scores of at most `size` pictures; what their gradient needs is kept until the next ones come."""
        given = _filled(pixels.detach().float(), self.size)
        found = self._forward.infer([given.contiguous().numpy()], share_inputs=True, share_outputs=True)
        return torch.from_numpy(found[0][: len(pixels)].copy())

    def gradient(self, seed: Scores) -> ChannelMap:
        """The gradient at the pixels that `scores` was asked about last, from that at the scores, `b k`."""
        given = _filled(seed.detach().float(), self.size)
        found = self._backward.infer({0: given.contiguous().numpy()}, share_inputs=True, share_outputs=True)
        return torch.from_numpy(found[0][: len(seed)].copy())


def both_passes(classifier: Classifier, pixels: Pixels, wanted: Sequence[Numbers]) -> BothPasses:
    """Make the programs; of several numbers for the way back those with which it is the fastest.

    Args:
        classifier: the network.
        pixels: `b c h w`: as many pictures, of such a size, go through at once.
        wanted: numbers that will do for the way back: depthwise convolutions run back slower in bfloat16.

    Raises:
        ValueError: there is no rule for an operation's way back, or the programs do not give what torch gives.
        RuntimeError: OpenVINO lacks an operation.
    """
    making = _Making(classifier, pixels.detach().float().contiguous())
    made = [making.tried(numbers) for numbers in wanted]
    # Again, and in the other order: what else the machine does must not decide.
    paces = {one: min(one.pace, making.pace(one)) for one in reversed(made)} if len(made) > 1 else {made[0]: 0.0}
    return min(made, key=paces.__getitem__)


class _Making:
    """What is needed to make and try the programs, and not later."""

    def __init__(self, classifier: Classifier, pixels: Pixels) -> None:
        traced = joint(classifier.raw_scores, pixels)
        self._pixels = pixels
        self._scores, saved = traced.exactly(pixels)
        self._seed = torch.randn(self._scores.shape, generator=torch.Generator().manual_seed(0))
        self._inputs = [self._seed, *(handed(one).contiguous() for one in saved)]
        self._forward = compiled(_fixed(Forward(traced), [pixels]), "f32")
        self._back = _fixed(Backward(traced), self._inputs)
        leaf = pixels.clone().requires_grad_()
        with torch.enable_grad():
            (self._gradient,) = torch.autograd.grad(classifier.raw_scores(leaf), leaf, self._seed)

    def tried(self, numbers: Numbers) -> BothPasses:
        """The programs, which were seen to give what torch gives.

        The way back is linear once the kinks are given: with torch's own it must give torch's gradient. Both ways
        together must give it but for what rounding puts on the other side of a kink.
        """
        backward = compiled(self._back, numbers)
        given = backward.infer([one.numpy() for one in self._inputs], share_inputs=True)
        away = (torch.from_numpy(given[0]) - self._gradient).abs().max()
        if not bool(away <= _TOLERANCE[numbers] * self._gradient.abs().max()):
            raise ValueError("the program's gradient is not the network's")
        for place in range(1, len(self._inputs)):  # from here on the way back reads where the way forward writes
            backward.set_input_tensor(place, self._forward.get_output_tensor(place))
        made = BothPasses(len(self._pixels), numbers, 0.0, self._forward, backward)
        made = replace(made, pace=self.pace(made))
        if not agree(made.scores(self._pixels), self._scores, "f32"):
            raise ValueError("the program's scores are not the network's")
        whole, own = made.gradient(self._seed).double(), self._gradient.double()
        if not bool((whole * own).sum() >= _ALIKE * whole.norm() * own.norm()):
            raise ValueError("the program's gradient is not the network's")
        return made

    def pace(self, made: BothPasses) -> float:
        """Seconds a picture, there and back, the least of some goes."""
        paces = []
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            made.scores(self._pixels)
            made.gradient(self._seed)
            paces.append((time.perf_counter() - start) / len(self._pixels))
        return min(paces)


def _fixed(module: torch.nn.Module, given: list[torch.Tensor]) -> Any:
    """A module as a model for inputs of these shapes alone: the trace has them built in."""
    model = converted(module, given)
    model.reshape({place: list(one.shape) for place, one in enumerate(given)})
    return model


def _filled(rows: torch.Tensor, size: int) -> torch.Tensor:
    """As many rows as a program takes: the last one again."""
    return torch.cat([rows, rows[-1:].expand(size - len(rows), *rows.shape[1:])]) if len(rows) < size else rows
