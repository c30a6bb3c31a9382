"""What methods that explain by concepts have in common: learn directions at a layer, then read pictures by them.

map(cell) = Σ_r effect_r · strength_r(cell) / Σ_cells strength_r, then enlarged bilinearly to the picture. A subclass
states how the concepts are learnt, and how much each matters for the score.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch

from sightline.attribution.base import Maps, Method, Wants
from sightline.attribution.concepts.bank import Alone, Bank, scores_alone, spread
from sightline.attribution.foreseen import Foreseen
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range, Seed

CLASSES = 3


@dataclass(frozen=True, eq=False)
class Reading:
    """One picture, read by concepts.

    Attributes:
        strengths: `r h w`, of each concept at each cell.
        effects: `r`, how much each matters for the score.
        probabilities: `r k`, of every class when the network is shown the concept alone.
    """

    strengths: torch.Tensor
    effects: torch.Tensor
    probabilities: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Learning(Method):
    """A method that explains by concepts."""

    concepts: Annotated[int, Range(1, 256), Doc("how many")] = 5
    layer: Annotated[str | None, Doc("name of the layer; chosen and reported when left out")] = None
    seed: Seed = 0

    measure: ClassVar[str]
    """What its effects are, in words that are followed by `of "dog"`."""

    @abstractmethod
    def asks(self, pixels: Pixels) -> int:
        """How many passes it takes to learn from one picture and to weigh what was learnt."""

    @abstractmethod
    def learn(self, passes: Passes, pixels: Pixels, view: LayerView) -> Bank:
        """The concepts of some pictures, `b c h w`, and how strong they are in each."""

    @abstractmethod
    def weigh(
        self, passes: Passes, pixels: Pixels, view: LayerView, target: Target, known: tuple[Bank, torch.Tensor]
    ) -> torch.Tensor:
        """How much each concept matters for the score of one picture, `r`; known are the bank and its strengths."""

    def wants(self) -> Wants:
        return Wants(layers=(self.layer,))

    def look(self, passes: Passes, pixels: Pixels, target: Target) -> LayerView:
        """The layer, with its gradients: without them nothing tells that a layer cannot reach the score."""
        return passes.layer(pixels, self.layer if self.layer is not None else passes.classifier.layer, target)

    def read(self, passes: Passes, pixels: Pixels, view: LayerView, target: Target, bank: Bank) -> list[Reading]:
        """Pictures read by a bank that was learnt from them."""
        found = []
        for place, strengths in enumerate(bank.strengths):
            row = slice(place, place + 1)
            one, seen = pixels[row], LayerView(view.layer, view.activations[row])
            effects = self.weigh(passes, one, seen, target.rows(row), (bank, strengths))
            alone = scores_alone(passes, one, seen, Alone(bank, strengths))
            found.append(Reading(strengths, effects, passes.probabilities(alone)))
        return found

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        view = self.look(passes, pixels, target)
        asked = self.asks(pixels) + self.concepts
        return Foreseen(forward=asked + passes.trial(pixels, view, asked), short=1)

    @final
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        view = self.look(passes, pixels, target)
        banks, readings = [], []
        for place in range(len(pixels)):  # each picture has concepts of its own, whoever came with it
            row = slice(place, place + 1)
            one, seen = pixels[row], LayerView(view.layer, view.activations[row])
            banks.append(self.learn(passes, one, seen))
            readings += self.read(passes, one, seen, target.rows(row), banks[-1])
        likely = [reading.probabilities.topk(min(CLASSES, reading.probabilities.shape[1]), 1) for reading in readings]
        return Maps(
            warnings=cautions(view),
            values=torch.stack([spread(reading.effects, reading.strengths) for reading in readings])[:, None],
            layer=view.layer.name,
            arrays={
                "concepts": torch.stack([reading.strengths for reading in readings]),
                "directions": torch.stack([bank.directions for bank in banks]),
                "effects": torch.stack([reading.effects for reading in readings]),
                "classes": torch.stack([best.indices for best in likely]),
                "class_probabilities": torch.stack([best.values for best in likely]),
            },
        )


def cautions(view: LayerView) -> tuple[str, ...]:
    """What must be known of concepts at a layer like this."""
    found = []
    if view.layer.prefix:
        found.append(
            f"the class token of layer {view.layer.name!r} stays that of the picture while its cells are exchanged, so "
            "that the classes of the concepts lean to those of the picture"
        )
    if (view.activations < 0).any():
        found.append(
            f"activations of layer {view.layer.name!r} are of both signs: each channel's minimum was taken off, which "
            "all concepts then share, so that they overlap more than those of a layer behind a ReLU"
        )
    return tuple(found)
