"""Recipro-CAM: a place counts as much as the network says of the activations at that place alone.

    map(i, j) = p(A ⊙ δ_ij) − p(0)           p: the rest of the network, δ_ij: 1 at the cell, 0 elsewhere

Byun, Lee, "Recipro-CAM: Fast gradient-free visual explanations for convolutional neural networks", 2022 (arXiv
2209.14074). Only the part of the network after the layer is run, once a cell. The authors stretch p to 0…1 at the end;
what the network says of no cell at all is taken off here instead, which is the same map with a zero that means
something. With `spread=gaussian` the cell's activations are also laid over its neighbours, at 1/4 for itself, 1/8 and
1/16, as in the authors' code. A transformer's prefix tokens stay as they are. Guarantees: directly before global
average pooling and a linear layer, with `score=logit`, it is CAM over the number of cells. Costs h·w + 1 forward passes
of the rest of the network (50 for ResNet) and one of the whole.

    sightline.explain(model, "dog.jpg", "recipro-cam")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch.nn import functional

from sightline.attribution.activation.channel_masks import Reading, Value
from sightline.attribution.activation.weighting import Weighting
from sightline.attribution.base import Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.passes.versions import Versions
from sightline.types import Doc, Pixels

_ALONE = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])
_GAUSSIAN = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


@dataclass(frozen=True, eq=False)
class Alone(Versions):
    """The activations of one cell, laid over it and its neighbours by a kernel `3 3`, all else zero; last, no cell."""

    height: int
    width: int
    kernel: torch.Tensor

    def __len__(self) -> int:
        return self.height * self.width + 1

    def make(self, activations: torch.Tensor, rows: slice) -> torch.Tensor:
        cells = torch.eye(len(self))[rows, :-1].reshape(-1, 1, self.height, self.width)
        kernels = functional.conv2d(cells, self.kernel[None, None], padding=1).to(activations)
        own = functional.pad(activations.flatten(1).T, (0, 0, 0, 1))[rows]
        return own[:, :, None, None] * kernels


@dataclass(frozen=True, kw_only=True)
class ReciproCam(Weighting):
    """What the network says of each cell of a layer alone."""

    spread: Annotated[Literal["cell", "gaussian"], Doc("the cell alone, or laid over its neighbours too")] = "cell"
    score: Annotated[Value, Doc("the probability, or the network's own score")] = "probability"

    traits = Traits(
        family="activation",
        needs=Needs.LAYER,
        cost="(h·w + 1) F after the layer + 1 F + 1 B to the layer",
        paper="Byun, Lee, Recipro-CAM, arXiv 2209.14074, 2022",
        linear=False,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        view = self.look(passes, pixels, target)
        cells = view.layer.height * view.layer.width + 1
        return Foreseen(forward=cells + passes.trial(pixels, view, cells), short=1)

    def weigh(self, view: LayerView, passes: Passes, pixels: Pixels, target: Target) -> torch.Tensor:
        height, width = view.activations.shape[-2:]
        alone = Alone(height, width, _GAUSSIAN if self.spread == "gaussian" else _ALONE)
        reading = Reading(passes, target, self.score)
        values = torch.stack([reading.of(scores) for scores in passes.after(pixels, view, alone)], 1)
        return (values[:, :-1] - values[:, -1:]).float().unflatten(1, (height, width))
