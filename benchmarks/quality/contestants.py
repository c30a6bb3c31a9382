"""Who is judged: something that makes one map of one class of one photograph, and says what it cost."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import sightline
from sightline.attribution.table import METHODS
from sightline.models.classifier import Classifier
from sightline.passes.runner import Precision
from sightline.types import Count

Array: TypeAlias = NDArray[np.float32]

SHAPE = (224, 224)


@dataclass(frozen=True, eq=False)
class Case:
    """One class of one photograph before one network; `pixels` are `1 3 224 224`, prepared."""

    classifier: Classifier
    path: Path
    pixels: torch.Tensor
    label: int

    @property
    def network(self) -> nn.Module:
        """The module itself, as peers are asked."""
        assert self.classifier.network is not None
        return self.classifier.network


@dataclass(frozen=True, eq=False)
class Found:
    """A map `h w` float32 in the frame of the network's input, and its passes (none backward: not known)."""

    map: Array
    forward: int
    backward: int | None = None


@dataclass(frozen=True, eq=False)
class Contestant:
    """One method of one tool; `settings` changes where its defaults or its package change."""

    tool: str
    method: str
    settings: str
    make: Callable[[Case], Found]
    precision: Precision = "float32"

    @property
    def name(self) -> str:
        """The tool and its method."""
        return f"{self.tool}:{self.method}"


_SAMPLERS = ("rise", "kernel-shap", "shapley-sampling", "partition-shap", "lime", "sobol", "hsic")
_OPTIMISERS = ("meaningful-perturbation", "extremal-perturbation", "i-gos", "igos-plus", "igos-plus-plus", "opti-cam")
FAST = frozenset((*_SAMPLERS, *_OPTIMISERS, "score-cam", "poly-cam", "craft"))
"""Methods of so many passes that they are run in bfloat16."""
VARIANTS = (
    "gradient(channels=largest)",
    "smooth-grad(of=gradient(channels=largest))",
    "integrated-gradients(baseline=mean)",
    "deep-lift(baseline=mean)",
)
"""Magnitudes and the mean colour, judged beside the defaults: see docs/decisions/0011-signs-and-baselines.md."""


def own(text: str) -> Contestant:
    """A method of Sightline as its text says: a name alone is the method at its defaults."""
    value = METHODS.make(text)
    precision: Precision = "fast" if value.name in FAST else "float32"
    fields = json.dumps(value.describe(), sort_keys=True, ensure_ascii=False)

    def make(case: Case) -> Found:
        found = sightline.explain(case.classifier, case.path, value, target=case.label, precision=precision)
        assert isinstance(found, sightline.Attribution)
        return Found(found.map, found.passes.forward, found.passes.backward)

    return Contestant("sightline", text, hashlib.sha256(fields.encode()).hexdigest()[:8], make, precision)


def owns() -> list[Contestant]:
    """Every method of Sightline, and some again with other settings."""
    return [own(text) for text in (*METHODS, *VARIANTS)]


def baselines() -> list[Contestant]:
    """Two maps that know nothing of the network: noise, and the middle of the picture."""
    return [Contestant("baseline", "random", "1", _random), Contestant("baseline", "centre", "1", _centre)]


def peer(package: str, method: str, call: Callable[[nn.Module, Case], Any], *, fast: bool = False) -> Contestant:
    """A method of another package, asked with a network of its own, which it may change as it likes."""
    from importlib.metadata import version

    def make(case: Case) -> Found:
        network = copy.deepcopy(case.network)
        with _counted(network) as count, torch.autocast("cpu", torch.bfloat16, enabled=fast):
            given = call(network, case)
        return Found(as_map(given), count[0].forward)

    return Contestant(package, method, version(package), make, "fast" if fast else "float32")


def as_map(given: Any) -> Array:
    """What a package gave as `224 224` float32: its channels summed, enlarged bilinearly as most packages draw it."""
    values = torch.as_tensor(np.asarray(given.detach().cpu().float() if torch.is_tensor(given) else given))
    values = values.float().reshape(-1, *values.shape[-2:]).sum(0)
    if tuple(values.shape) != SHAPE:
        values = nn.functional.interpolate(values[None, None], SHAPE, mode="bilinear", align_corners=False)[0, 0]
    return values.numpy()


@contextmanager
def _counted(network: nn.Module) -> Iterator[list[Count]]:
    """The forward passes of a network that is only ours to watch: pictures that went through it."""
    count = [Count()]

    def see(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        count[0] += Count(forward=len(given[0]))

    handle = network.register_forward_pre_hook(see)
    try:
        yield count
    finally:
        handle.remove()


def _random(case: Case) -> Found:
    seed = int(hashlib.sha256(case.path.name.encode()).hexdigest()[:8], 16)
    return Found(np.random.default_rng(seed).random(SHAPE, np.float32), 0, 0)


def _centre(_: Case) -> Found:
    """A Gaussian around the middle, a quarter of the side wide."""
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in SHAPE)
    squared = rows[:, None] ** 2 + columns[None, :] ** 2
    return Found(np.exp(-squared / (2 * (SHAPE[0] / 4) ** 2)).astype(np.float32), 0, 0)
