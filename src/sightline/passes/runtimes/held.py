"""Programs that were made of networks, kept as long as the network lives; and when one is made and trusted."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import nn

from sightline.models.classifier import Classifier
from sightline.passes.runtimes import openvino_program as openvino
from sightline.passes.runtimes.fingerprint import fingerprint
from sightline.passes.runtimes.obstacles import untraceable
from sightline.passes.runtimes.openvino_program import Numbers
from sightline.types import Pixels

_SAVED = 0.3  # of torch's time, expected; measured are 0.2 (ResNet-18) to 0.6 (MobileNetV2)
_PROGRAMS = 6  # of one network: another size of picture, precision or use is a program of its own

P = TypeVar("P")


@dataclass(eq=False)
class Held(Generic[P]):
    """What is known of one network, for one size of picture, numbers and number of threads.

    Attributes:
        numbers: what is computed in.
        program: the program, if there is one.
        refusal: why there is none and will be none.
        eager: passes that torch has run in questions that a program could have answered.
    """

    numbers: Numbers
    program: P | None = None
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
        import_ = 0.0 if openvino.loaded() else 0.8
        return self.eager * pace * _SAVED > import_ + self.cost(sum(1 for _ in network.modules()), pace)

    def cost(self, modules: int, pace: float) -> float:
        """What a program costs, in seconds, when OpenVINO is loaded.

        Fitted to ResNet, VGG, MobileNetV2, ViT, ConvNeXt, EfficientNet and Swin.
        """
        return 0.1 + 0.005 * modules + 4 * pace

    def trusted(
        self, classifier: Classifier, pixels: Pixels, make: Callable[[], P], fault: Callable[[P], str | None]
    ) -> bool:
        """Whether a program was made and is kept; else `refusal` says why not.

        Args:
            classifier: what is asked.
            pixels: some pictures, `b c h w`.
            make: makes the program.
            fault: tries a new program out: what is wrong with it, or None.
        """
        network = classifier.network
        assert network is not None
        try:
            stands_for = fingerprint(network)
            self.refusal = untraceable(network, classifier, pixels[:2].float(), stands_for)
            if self.numbers == "bf16" and not openvino.has_bfloat16():
                self.refusal = "this processor has no bfloat16"
            if self.refusal is None:
                program = make()
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


K = TypeVar("K", bound=Held[Any])


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


_KEPT: WeakKeyDictionary[nn.Module, dict[Hashable, Held[Any]]] = WeakKeyDictionary()


def _make_room(network: nn.Module) -> None:
    holding = [kept for kept in _KEPT[network].values() if kept.program is not None]
    for kept in holding[: max(0, len(holding) + 1 - _PROGRAMS)]:
        kept.forget()


def last_line(error: Exception) -> str:
    """What an error says in the end, where OpenVINO tells the reason."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1][:200]
