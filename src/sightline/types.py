"""The words the rooms share: what a tensor holds, and what a field of a method may hold.

Nothing here imports torch at run time, so that the command line can answer before torch is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

if TYPE_CHECKING:
    import torch

    Pixels: TypeAlias = torch.Tensor
    """`b c h w`, floating point, prepared for the network (normalised)."""
    Scores: TypeAlias = torch.Tensor
    """`b k`, float32, one row a picture, one column a class, as the network gives them (usually logits)."""
    Map: TypeAlias = torch.Tensor
    """`b h w`, float32, signed, in the frame of the network's input."""
    ChannelMap: TypeAlias = torch.Tensor
    """`b c h w`, float32, signed: a map before its channels are summed."""
else:
    Pixels = Scores = Map = ChannelMap = Any

_ENDLESS = 1e6  # a limit that only keeps memory from running out

Progress: TypeAlias = Callable[[int, int], object]
"""Called with (passes done, passes expected); returning False asks to stop (`CancelledError`)."""


@dataclass(frozen=True)
class Range:
    """The values a number may take, both ends included; checked when a method is made."""

    low: float
    high: float = float("inf")

    def words(self) -> str:
        """The range as a reader is told it."""
        low, high = (f"{end:,.0f}" if abs(end) >= 1000 and end == int(end) else f"{end:g}" for end in self._ends())
        return f"at least {low}" if self.high >= _ENDLESS else f"from {low} to {high}"

    def _ends(self) -> tuple[float, float]:
        return self.low, min(self.high, _ENDLESS)


@dataclass(frozen=True)
class Doc:
    """What a field means, in a few words with its unit: shown by the command, the form and the docs."""

    text: str


Seed: TypeAlias = Annotated[int, Range(0, 2**63 - 1), Doc("of what is drawn")]
"""The field of everything that draws random numbers, so that `seed=` of a call finds it."""


@dataclass(frozen=True)
class Count:
    """Passes through the network; a batch of n pictures counts as n."""

    forward: int = 0
    backward: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.forward + other.forward, self.backward + other.backward)

    def __sub__(self, other: Count) -> Count:
        return Count(self.forward - other.forward, self.backward - other.backward)
