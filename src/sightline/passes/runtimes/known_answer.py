"""A question whose answer is known: whether a network still gives, to the bit, what it gave when a program was made.

It tells of what lies outside of the network's modules, such as a global variable, where no fingerprint looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import torch

from sightline.errors import SightlineError
from sightline.passes.failing import NETWORK_ERRORS
from sightline.types import Pixels, Scores

_SIDES = (32, 64, 96)  # of a picture of noise, the smallest that a network can take


@dataclass(frozen=True, eq=False)
class KnownAnswer:
    """A picture of noise, `1 c h w`, and the scores that a network gave for it, `1 k`."""

    noise: Pixels
    scores: Scores

    @classmethod
    def of(cls, ask: Callable[[Pixels], Scores], pixels: Pixels) -> KnownAnswer | None:
        """By the smallest picture that the network takes and answers with numbers; None where there is none."""
        for noise in noises(pixels):
            with suppress(SightlineError, *NETWORK_ERRORS):  # too small for this network
                scores = ask(noise.clone()).detach()
                if bool(torch.isfinite(scores).all()):
                    return cls(noise, scores.clone())
        return None

    def holds(self, ask: Callable[[Pixels], Scores]) -> bool:
        """Whether the network gives the same answer."""
        return torch.equal(ask(self.noise.clone()).detach(), self.scores)


def noises(pixels: Pixels) -> Iterator[Pixels]:
    """Pictures of noise, `1 c h w`, from small ones to the size of the pictures, `b c h w`."""
    draw = torch.Generator().manual_seed(0)
    sizes = [(side, side) for side in _SIDES if 2 * side * side < pixels[0, 0].numel()]
    for size in (*sizes, pixels.shape[2:]):
        yield torch.randn(1, pixels.shape[1], *size, generator=draw)
