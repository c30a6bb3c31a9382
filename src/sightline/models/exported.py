"""Programs of `torch.export` that the user has loaded or made: as modules, with what they fix told to the runner."""

from __future__ import annotations

from typing import Any

from torch import nn

from sightline.types import Pixels


def is_exported(function: Any) -> bool:
    """Whether this is a `torch.export.ExportedProgram`, told without importing `torch.export`."""
    kind = type(function)
    return kind.__name__ == "ExportedProgram" and kind.__module__.startswith("torch.export")


class Exported(nn.Module):
    """The module of an exported program; differentiable, but its layers cannot be looked at.

    Attributes:
        one_picture_at_a_time: the batch was fixed to one picture when it was exported.
    """

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = program.module()
        self.one_picture_at_a_time = _batch_of(program) == 1

    def forward(self, pixels: Pixels) -> Any:
        return self.program(pixels)


def _batch_of(program: Any) -> int | None:
    """The fixed number of pictures; None where it is free."""
    wanted = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in wanted:
            shape = getattr(node.meta.get("val"), "shape", ())
            return int(shape[0]) if shape and isinstance(shape[0], int) else None
    return None
