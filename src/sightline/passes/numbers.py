"""What passes compute in: what the precision asks for, and what was done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from sightline.passes.rounded import rounds_back


class Numbers:
    """The numbers of one runner's passes, in words, as torch names them.

    `float32`, `bfloat16`, `float32, back in bfloat16`, or what the network's own weights are.

    Attributes:
        fast: whether bfloat16 is asked for.
        told: what passes computed in since it was emptied, each once.
    """

    def __init__(self, device: torch.device, *, fast: bool) -> None:
        self.fast = fast
        self.told: list[str] = []
        self._device = device

    def note(self, *words: str) -> None:
        """Note what a pass computes in."""
        self.told += [one for one in dict.fromkeys(words) if one not in self.told]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside, passes only find something out: what they compute in is not told."""
        before = list(self.told)
        try:
            yield
        finally:
            self.told = before

    def taken(self) -> tuple[str, ...]:
        """What was told; nothing is left."""
        told, self.told = tuple(self.told), []
        return told

    def wanted(self, own: torch.dtype, *, exact: bool = False) -> str:
        """Of a pass of a network with such weights; autocast leaves float64 as it is."""
        rounded = self.fast and not exact and own != torch.float64
        return "bfloat16" if rounded else str(own).removeprefix("torch.")

    def traced(self, own: torch.dtype) -> str:
        """Of a pass whose graph begins at the pixels (`rounded.py`)."""
        back = self.fast and own == torch.float32 and rounds_back(self._device)
        return "float32, back in bfloat16" if back else self.wanted(own, exact=True)

    def autocast(self, *, exact: bool) -> AbstractContextManager[Any]:
        """Rounding, where it is asked for."""
        rounded = self.fast and not exact
        return torch.autocast(self._device.type, torch.bfloat16) if rounded else nullcontext()
