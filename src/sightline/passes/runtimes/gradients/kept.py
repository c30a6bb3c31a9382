"""The programs of a network for gradients at the pixels: when they are made, and when they stand for it no more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from torch import nn

from sightline.errors import SightlineError
from sightline.models.classifier import Classifier
from sightline.passes.failing import NETWORK_ERRORS
from sightline.passes.layouts import compiled
from sightline.passes.runtimes.gradients.programs import BothPasses, both_passes
from sightline.passes.runtimes.held import Held
from sightline.passes.runtimes.known_answer import KnownAnswer
from sightline.passes.runtimes.openvino_program import has_bfloat16
from sightline.types import Pixels, Scores

FEWEST = 4  # pictures at once below which programs are not made before they pay, though they be asked for


@dataclass(eq=False)
class BothWays(Held[BothPasses]):
    """What is known of one network and size of picture.

    Attributes:
        known: a picture of noise and the network's answer when the programs were made.
        question: the number of the question in which the programs were last found to stand for the network.
    """

    known: KnownAnswer | None = None
    question: int = -1

    @property
    def words(self) -> str:
        """As in `gradients by openvino 2026.4.1, float32, back in bfloat16`."""
        assert self.program is not None
        back = ", back in bfloat16" if self.program.numbers == "bf16" else ""
        return f"gradients by {super().words.partition(',')[0]}, float32{back}"

    def cost(self, modules: int, pace: float) -> float:
        """Of two programs, with the import of torch's own compiler, which traces both passes.

        Fitted to ResNet-18 and 50, MobileNetV2, VGG-16 and ViT-Tiny.
        """
        return 2.0 + 0.03 * modules + 50 * pace

    def takes(self, pictures: int) -> bool:
        """Whether a batch of so many pictures suits the programs."""
        return self.program is None or pictures >= self.program.size / 2

    def standing(self, network: nn.Module, ask: Callable[[Pixels], Scores], question: int) -> BothPasses | None:
        """The programs, where they stand for the network; that is looked at once a question."""
        if self.program is None or self.question == question:
            return self.program
        with suppress(SightlineError, *NETWORK_ERRORS):  # torch, which is asked next, says what is wrong
            if self.stands(network) and self.known is not None and self.known.holds(ask):
                self.question = question
                return self.program
        self.forget()
        return None

    def make(self, classifier: Classifier, pixels: Pixels, pace: float, ask: Callable[[Pixels], Scores]) -> bool:
        """Whether programs could be made that give what torch gives, and are faster; else `refusal` says why not.

        Args:
            classifier: what is asked.
            pixels: `b c h w`, as many pictures as go through at once.
            pace: torch's seconds a picture; infinite where slower programs will do as well.
            ask: the network's raw scores, without a graph.
        """
        network = classifier.network
        assert network is not None
        if backward_hooked(network) or compiled(network):
            self.refusal = "it is compiled" if compiled(network) else "a module of it has hooks"
            return False
        rounded = self.numbers == "bf16" and has_bfloat16()

        def programs() -> BothPasses:
            return both_passes(classifier, pixels, ("bf16", "f32") if rounded else ("f32",))

        def fault(made: BothPasses) -> str | None:
            self.known = KnownAnswer.of(ask, pixels)
            if self.known is None:
                return "it has no answer to a picture of noise"
            slower = f"it is not faster: {made.pace * 1e3:.1f} against {pace * 1e3:.1f} ms a picture"
            return slower if made.pace > pace else None

        return self.trusted(classifier, pixels, programs, fault)


def backward_hooked(network: nn.Module) -> bool:
    """Whether something listens to, or takes part in, gradients that pass the network's modules or weights."""
    everywhere = nn.modules.module
    return bool(
        everywhere._global_backward_hooks
        or everywhere._global_backward_pre_hooks
        or any(module._backward_hooks or module._backward_pre_hooks for module in network.modules())
    )
