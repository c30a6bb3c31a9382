"""What a method will ask of the network, known before it asks."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """Passes for one picture, beside the clean pass that all methods on the same pictures share.

    Attributes:
        forward: through the network, whole or in part.
        backward: from the score to the pixels.
        short: from the score to a layer, no further.
        clean: questions about the unchanged picture: each costs a forward pass where the clean pass is not shared.
        untold: questions about the best layer without a target: where only a gradient tells which one that is, as in a
            transformer, the first of them takes one more pass back.
        at_most: the method may stop early, or what it meets decides.
    """

    forward: int = 0
    backward: int = 0
    short: int = 0
    clean: int = 1
    untold: int = 0
    at_most: bool = False

    def __add__(self, other: Foreseen) -> Foreseen:
        return Foreseen(
            forward=self.forward + other.forward,
            backward=self.backward + other.backward,
            short=self.short + other.short,
            clean=self.clean + other.clean,
            untold=self.untold + other.untold,
            at_most=self.at_most or other.at_most,
        )

    def times(self, copies: int) -> Foreseen:
        """The same for each of several copies of the picture that share nothing."""
        return Foreseen(
            forward=copies * (self.forward + self.clean),
            backward=copies * self.backward,
            short=copies * self.short,
            clean=0,
            untold=copies * self.untold,
            at_most=self.at_most,
        )

    def and_(self, **more: int) -> Foreseen:
        """The same with more passes of some kinds."""
        return replace(self, **{name: getattr(self, name) + count for name, count in more.items()})
