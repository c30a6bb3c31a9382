"""Programs that were made of networks, kept as long as the network lives; and when one is made, trusted and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import nn

from sightline.models.classifier import Classifier
from sightline.passes.runtimes import openvino_program as openvino
from sightline.passes.runtimes.fingerprint import fingerprint
from sightline.passes.runtimes.obstacles import untraceable
from sightline.passes.runtimes.openvino_program import Numbers, Program
from sightline.types import Pixels, Scores

Plain = Callable[[Pixels], Scores]

_SAVED = 0.3  # of torch's time, expected; measured are 0.2 (ResNet-18) to 0.6 (MobileNetV2)
_PROGRAMS = 2  # of one network: another size of picture or precision is a program of its own
_ASKED_AGAIN = 2  # pictures
_TOLERANCE: dict[Numbers, float] = {"f32": 1e-4, "bf16": 3e-2}  # of the largest spread of a picture's scores


@dataclass(eq=False)
class Kept:
    """What is known of one network, for one size of picture, numbers and number of threads.

    Attributes:
        numbers: what is computed in.
        program: the program, if there is one.
        refusal: why there is none and will be none.
        eager: passes that torch has run in questions that a program could have answered.
    """

    numbers: Numbers
    program: Program | None = None
    refusal: str | None = None
    eager: int = 0
    _stands_for: Hashable = None

    @property
    def words(self) -> str:
        """The program, as results name it: `openvino 2026.4.1, float32`."""
        return f"{openvino.version()}, {'bfloat16' if self.numbers == 'bf16' else 'float32'}"

    def pays(self, network: nn.Module, pace: float) -> bool:
        """Whether a program had paid for itself if it had answered the passes that torch has run, or is about to.

        To go on by that rule costs at most twice what the best choice would have, however many passes come (Karlin and
        others, 1988, on renting or buying skis).

        Args:
            network: whose program it would be.
            pace: torch's seconds a picture.
        """
        modules = sum(1 for _ in network.modules())
        # Fitted to ResNet, VGG, MobileNetV2, ViT, ConvNeXt, EfficientNet and Swin; the import comes once.
        cost = (0.0 if openvino.loaded() else 0.8) + 0.1 + 0.005 * modules + 4 * pace
        return self.eager * pace * _SAVED > cost

    def answers(self, network: nn.Module, pixels: Pixels, plain: Plain) -> Scores | None:
        """The program's answers; None where there is no program, or where it stands for the network no more."""
        if self.program is None:
            return None
        with suppress(RuntimeError):  # of memory, or of a tensor in the network that cannot be read: torch answers
            if self.stands(network):
                found = self.program(pixels)
                if agree(found[:_ASKED_AGAIN], plain(pixels[:_ASKED_AGAIN]), self.numbers):
                    return found
        self.forget()
        return None

    def make(self, classifier: Classifier, pixels: Pixels, plain: Plain, timed: Timed, slow: bool) -> Scores | None:
        """The answers of a new program, if there can be one and it is right and faster; else `refusal` says why not.

        Args:
            classifier: what is asked.
            pixels: the first pictures, `b c h w`.
            plain: asks torch.
            timed: torch's answers about the first pictures.
            slow: whether a program that is slower than torch will do as well.
        """
        found: list[Scores] = []

        def fault(program: Program) -> str | None:
            found.append(program(pixels))
            if not agree(found[0][: len(timed.scores)], timed.scores, self.numbers):
                return "the program's scores are not the network's"
            return None if slow else _slower(program, plain, pixels[: len(timed.scores)], timed.pace)

        return found[0] if self.trusted(classifier, pixels, fault) else None

    def trusted(
        self, classifier: Classifier, pixels: Pixels, fault: Callable[[Program], str | None], layer: str | None = None
    ) -> bool:
        """Whether a program was made and is kept; else `refusal` says why not.

        Args:
            classifier: what is asked.
            pixels: some pictures, `b c h w`.
            fault: tries a new program out: what is wrong with it, or None.
            layer: whose output is wanted beside the scores.
        """
        network = classifier.network
        assert network is not None
        try:
            stands_for = fingerprint(network)
            self.refusal = untraceable(network, classifier, pixels[:2].float(), stands_for)
            if self.numbers == "bf16" and not openvino.has_bfloat16():
                self.refusal = "this processor has no bfloat16"
            if self.refusal is None:
                program = Program(classifier, pixels, self.numbers, layer)
                self.refusal = fault(program)
        except Exception as error:  # whatever stops a conversion, in their code or the network's, torch answers
            self.refusal = f"it cannot be converted: {last_line(error)}"
        if self.refusal is not None:
            return False
        _make_room(network)
        self.program, self._stands_for = program, stands_for
        return True

    def stands(self, network: nn.Module) -> bool:
        """Whether there is a program, and the network has the fingerprint that it was made from."""
        return self.program is not None and self._stands_for == fingerprint(network)

    def forget(self) -> None:
        """Let the program go; another may be made."""
        self.program, self._stands_for, self.eager = None, None, 0


K = TypeVar("K", bound=Kept)


@dataclass(frozen=True, eq=False)
class Timed:
    """Answers, and the seconds a picture."""

    scores: Scores
    pace: float


def timed(ask: Plain, pixels: Pixels) -> Timed:
    """Ask, with a look at the clock."""
    start = time.perf_counter()
    scores = ask(pixels)
    return Timed(scores, (time.perf_counter() - start) / len(pixels))


def kept_for(network: nn.Module, pixels: Pixels, new: K, about: Hashable = None) -> K:
    """What is known of a network for pictures like these, `b c h w`: at first the `new` that is given.

    Args:
        network: whose programs they are.
        pixels: for their size.
        new: of the wanted kind and numbers.
        about: what else sets programs of this kind apart, such as a layer.
    """
    key = type(new), tuple(pixels.shape[1:]), new.numbers, torch.get_num_threads(), about
    return cast(K, _KEPT.setdefault(network, {}).setdefault(key, new))


def agree(found: Scores, expected: Scores, numbers: Numbers) -> bool:
    """Whether scores `b k` are the network's: within the tolerance, relative to the largest spread within a picture."""
    if found.shape != expected.shape or not bool(torch.isfinite(found).all()):
        return False
    spread = expected.amax(1) - expected.amin(1) if expected.shape[1] > 1 else expected.abs().amax(1)
    return bool(((found - expected).abs().amax(1) <= _TOLERANCE[numbers] * spread.max()).all())


_KEPT: WeakKeyDictionary[nn.Module, dict[Hashable, Kept]] = WeakKeyDictionary()


def _slower(program: Program, plain: Plain, pixels: Pixels, pace: float) -> str | None:
    """In words, that a program is slower; it must be so twice, since what else the machine does comes between."""
    own = timed(program, pixels).pace
    if own > pace:
        pace, own = timed(plain, pixels).pace, timed(program, pixels).pace
    return f"it is not faster: {own * 1e3:.1f} against {pace * 1e3:.1f} ms a picture" if own > pace else None


def _make_room(network: nn.Module) -> None:
    holding = [kept for kept in _KEPT[network].values() if kept.program is not None]
    for kept in holding[: len(holding) + 1 - _PROGRAMS]:
        kept.forget()


def last_line(error: Exception) -> str:
    """What an error says in the end, where OpenVINO tells the reason."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1][:200]
