"""Programs of `torch.export` that the user has loaded or made: as modules, with what they fix told to the runner."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map  # torch.export's own, whose outputs it is used on

from sightline.errors import ModelError
from sightline.types import Pixels


def is_exported(function: Any) -> bool:
    """Whether this is a `torch.export.ExportedProgram`, told without importing `torch.export`."""
    kind = type(function)
    return kind.__name__ == "ExportedProgram" and kind.__module__.startswith("torch.export")


class Exported(nn.Module):
    """The module of an exported program; differentiable, but its layers cannot be looked at.

    A number of pictures that is built into it is filled up with copies of the one that is asked about.

    Attributes:
        one_picture_at_a_time: the number of pictures was fixed when it was exported.
    """

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = program.module()
        self._taken = _taken(program)
        self._batch = self._taken[0] if self._taken else None
        self.one_picture_at_a_time = self._batch is not None

    def forward(self, pixels: Pixels) -> Any:
        """What the program gives.

        Raises:
            ModelError: pixels of another size than it was exported for.
        """
        pairs = zip(self._taken[1:], pixels.shape[1:], strict=False)
        if any(own not in (None, came) for own, came in pairs):
            sides = "×".join("any" if side is None else str(side) for side in self._taken[1:])
            came = "×".join(map(str, pixels.shape[1:]))
            raise ModelError(f"this program takes pictures of {sides} (channels, height, width), got {came}")
        if self._batch in (None, len(pixels)):
            return self.program(pixels)
        if len(pixels) != 1:
            raise ModelError(f"this program takes {self._batch} pictures at once, got {len(pixels)}: give it one")
        return tree_map(self._first, self.program(pixels.expand(self._batch, *pixels.shape[1:])))

    def _first(self, value: Any) -> Any:
        per_picture = isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == self._batch
        return value[:1] if per_picture else value


def _taken(program: Any) -> tuple[int | None, ...]:
    """The sides of the input, batch first, None where one is free; nothing where the program does not tell."""
    wanted = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in wanted:
            shape = getattr(node.meta.get("val"), "shape", ())
            return tuple(int(side) if isinstance(side, int) else None for side in shape)
    return ()
