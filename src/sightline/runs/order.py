"""What a call asks for, whatever the picture; and a picture that could not be explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch

from sightline.attribution.base import Method, Wants
from sightline.errors import SightlineError
from sightline.models.classifier import Classifier
from sightline.models.targets import Wanted
from sightline.passes.passes import Passes
from sightline.passes.runner import Precision
from sightline.passes.runtimes.question import Runtime
from sightline.types import Progress


@dataclass(frozen=True, eq=False)
class Failure:
    """One picture that could not be explained, and why."""

    place: int
    picture: str
    error: SightlineError


@dataclass(frozen=True, eq=False, kw_only=True)
class Order:
    """What is wanted of every picture."""

    methods: tuple[Method, ...]
    target: Wanted | Sequence[Wanted] = "top"
    precision: Precision = "float32"
    device: str | torch.device | None = None
    memory: int | None = None
    progress: Progress | None = None
    runtime: Runtime = "auto"

    def passes(self, classifier: Classifier) -> Passes:
        """What asks the network as is wanted here; the network is quiet in a `with` block of it."""
        return Passes(
            classifier,
            precision=self.precision,
            device=self.device,
            memory=self.memory,
            progress=self.progress,
            runtime=self.runtime,
        )

    def target_of(self, place: int) -> Wanted:
        """The target of the picture at this place of the list."""
        return self.target[place] if isinstance(self.target, list) else cast(Wanted, self.target)

    def wants(self, own_layer: str | None) -> Wants:
        """What all methods together will ask of the clean pass; a network may know its own layer."""
        each = [method.wants() for method in self.methods]
        layers = dict.fromkeys(own_layer if name is None else name for want in each for name in want.layers)
        return Wants(gradients=any(want.gradients for want in each), layers=tuple(layers))
