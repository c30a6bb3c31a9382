"""How many pictures go through the network at once: as many as help, within a budget of memory."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from sightline.models.survey import Survey

Graph: TypeAlias = bool | tuple[str, ...] | Literal["in part"]
"""Where the graph of a pass begins: nowhere, at the pixels (True), or at some layers, given by name.

`in part`: nowhere, and of the largest maps only tiles are made (`sightline.passes.windows`).
"""

CPU_BUDGET = 1 << 30
"""Bytes for activations on a CPU."""

_FEW = 8  # pictures at once on a processor with up to four threads
_MOST = {"cpu": 32, "cuda": 256}  # with more threads
# Without gradients a few neighbouring activations live at a time (a block's input, branch and output).
_ALIVE_AT_ONCE = 4
_UNKNOWN_NETWORK = 64  # activations of a function that cannot be watched, in multiples of its pixels


def batch_size(survey: Survey | None, pixels: torch.Tensor, *, gradients: Graph, memory: int | None = None) -> int:
    """Pictures like `pixels` in one batch, at least 1.

    Args:
        survey: what a pass showed of the network, or none for a function.
        pixels: `b c h w`, for size and device.
        gradients: what the pass keeps its activations for.
        memory: budget in bytes; by default 1 GiB on a CPU, half of what is free on a GPU.
    """
    each = picture_bytes(survey, pixels, gradients=gradients) + pixels[0].numel() * 4
    budget = memory if memory is not None else _free_memory(pixels.device)
    most = _MOST.get(pixels.device.type, 64)
    if pixels.device.type == "cpu":
        # Activations should still lie near the processor, and in memory that the allocator keeps: more is slower.
        few = max(_FEW, 2 * torch.get_num_threads())
        most = few if gradients is True else most if gradients == "in part" else min(few, most)
    return max(1, min(budget // max(each, 1), most))


def picture_bytes(survey: Survey | None, pixels: torch.Tensor, *, gradients: Graph) -> int:
    """What one picture needs in a pass, beside its pixels."""
    if survey is None:
        return pixels[0].numel() * 4 * _UNKNOWN_NETWORK
    if gradients is True:
        return survey.gradient_bytes * 13 // 10  # 1.0 to 1.3 times were measured
    layers = gradients if isinstance(gradients, tuple) else ()
    kept = max(map(survey.bytes_from, layers), default=0)
    return _ALIVE_AT_ONCE * survey.forward_bytes + 2 * kept


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return CPU_BUDGET
