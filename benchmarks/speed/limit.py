"""The limit: the fastest plain pass there is on this machine, in the same run, at the same precision.

Plain means: a batch of ready pixels goes in, scores come out, nothing else is done. A work's limit is the number of
passes it needs times that.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from parity.rows import quietly
from torch import nn
from torch.fx.experimental.optimization import fuse

from speed.clock import CLOCKS, Clock
from speed.races import Race
from speed.subjects import Asked

Go: TypeAlias = Callable[[torch.Tensor], object]
Plain: TypeAlias = dict[str, dict[str, float]]
"""`float32 forward 16` → way → seconds a picture; `both` for forward and backward to the pixels."""
ROUNDS = 2


def plain_passes(asked: Asked, races: Sequence[Race], clock: Clock) -> Plain:
    """Seconds a picture of every way to run the plain passes that these races need: the least of some rounds."""
    ways = {precision: _ways(asked.network, precision) for precision in ("float32", "fast")}
    found: Plain = {}
    for batch in sorted({race.batch for race in races if race.forward or race.both}):
        pixels = asked.pixels.repeat(-(-batch // len(asked.pixels)), 1, 1, 1)[:batch].clone()
        backward = any(race.both for race in races if race.batch == batch)
        for precision, chosen in ways.items():
            forward: dict[str, Go] = {name: partial(_forward, go) for name, go in chosen.items()}
            goes = {"forward": forward | _openvino(asked.network, pixels, precision)}
            if backward:
                goes["both"] = {name: partial(_both, go) for name, go in chosen.items()}
            for kind, those in goes.items():
                times = _times(those, pixels, clock)
                found[f"{precision} {kind} {batch}"] = {name: time / batch for name, time in times.items()}
    return found


def limit(race: Race, plain: Plain, precision: str) -> float | None:
    """Seconds of the passes that a race needs; none where they are not counted."""
    if not race.forward and not race.both:
        return None
    passes = {"forward": race.forward, "both": race.both}
    return sum(
        count * min(plain[f"{precision} {kind} {race.batch}"].values()) for kind, count in passes.items() if count
    )


def _ways(network: nn.Module, precision: str) -> dict[str, Go]:
    """Ways through torch: as the network is given, and the fastest that its own means allow."""
    name, twin = "channels last", copy.deepcopy(network)
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        name, twin = "channels last, folded", fuse(twin)
    twin = twin.to(memory_format=torch.channels_last)
    if precision == "fast":
        return {f"{name}, bf16": _go(twin.bfloat16(), torch.channels_last, torch.bfloat16)}
    return {
        "eager": _go(network, torch.contiguous_format, torch.float32),
        name: _go(twin, torch.channels_last, torch.float32),
    }


def _go(network: nn.Module, layout: torch.memory_format, dtype: torch.dtype) -> Go:
    return lambda pixels: network(pixels.to(dtype, memory_format=layout))


def _forward(go: Go, pixels: torch.Tensor) -> None:
    with torch.inference_mode():
        go(pixels)


def _both(go: Go, pixels: torch.Tensor) -> None:
    leaf = pixels.clone().requires_grad_()
    scores: Any = go(leaf)
    torch.autograd.grad(scores[:, 0].sum(), leaf)


def _openvino(network: nn.Module, pixels: torch.Tensor, precision: str) -> dict[str, Callable[[torch.Tensor], object]]:
    """OpenVINO's way, where it is installed."""
    if importlib.util.find_spec("openvino") is None:
        return {}
    import openvino

    with torch.no_grad():
        converted = quietly(openvino.convert_model, network, example_input=pixels)
    hint = "f32" if precision == "float32" else "bf16"
    options = {
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = openvino.compile_model(converted, "CPU", options)
    return {f"OpenVINO {hint}": lambda x: compiled(x.numpy())}


def _times(goes: dict[str, Callable[[torch.Tensor], object]], pixels: torch.Tensor, clock: Clock) -> dict[str, float]:
    for go in goes.values():
        go(pixels)
    best = dict.fromkeys(goes, float("inf"))
    for _ in range(ROUNDS):
        for name, go in goes.items():
            begun = CLOCKS[clock]()
            go(pixels)
            best[name] = min(best[name], CLOCKS[clock]() - begun)
    return best
