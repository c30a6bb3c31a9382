"""Pictures near a picture: noise of a given size on every value, the same for a seed however many run at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import torch

from sightline.evaluation.again import clean_map, maps_of
from sightline.evaluation.base import Question
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation
from sightline.types import Doc, Pixels, Range

Samples = Annotated[int, Range(1, 100_000), Doc("pictures nearby that are explained")]
Noise: TypeAlias = Annotated[
    Literal["uniform", "normal"], Doc("every value moves evenly up to the radius, or normally with it as deviation")
]
_PRIME = 1_000_003  # seeds of two metrics with neighbouring seeds do not meet before so many samples


@dataclass(frozen=True, eq=False)
class Nearby(Perturbation):
    """x + δ, every value of δ drawn by itself, in parts of the range that a channel's values can take.

    Attributes:
        step: `1 c 1 1` (or `1 1 1 1`), what 1 of the noise is in the network's units.
        radius: how far.
        noise: how it is spread.
        seed: of what is drawn.
        samples: how many.
    """

    step: torch.Tensor
    radius: float
    noise: str
    seed: int
    samples: int

    def __len__(self) -> int:
        return self.samples

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        return torch.cat([pixels + self.step * self.offset(place, pixels) for place in range(self.samples)[rows]])

    def offset(self, place: int, pixels: Pixels) -> Pixels:
        """δ of one sample, `1 c h w`, in parts of the range."""
        generator = torch.Generator().manual_seed((self.seed * _PRIME + place) % (1 << 63))
        if self.noise == "normal":
            return (torch.randn(pixels[:1].shape, generator=generator) * self.radius).to(pixels)
        return ((torch.rand(pixels[:1].shape, generator=generator) * 2 - 1) * self.radius).to(pixels)


@dataclass(frozen=True, eq=False)
class Moves:
    """How far the maps of pictures nearby lie from the picture's own, in Euclidean norms.

    Attributes:
        maps: `n` float64, ‖map(x + δ) − map(x)‖₂.
        pixels: `n` float64, ‖δ‖₂ in parts of the range.
        norm: ‖map(x)‖₂; 1 for a map of zeros, which has no size to compare with.
        warnings: what must be known of the picture's own map.
    """

    maps: torch.Tensor
    pixels: torch.Tensor
    norm: float
    warnings: tuple[str, ...]


def moves(passes: Passes, question: Question, *, radius: float, noise: str, seed: int, samples: int) -> Moves:
    """Explain pictures nearby; once for all metrics that ask these passes about the same ones."""
    return question.once(
        passes,
        ("nearby", radius, noise, seed, samples),
        lambda: _moves(passes, question, radius=radius, noise=noise, seed=seed, samples=samples),
    )


def _moves(passes: Passes, question: Question, *, radius: float, noise: str, seed: int, samples: int) -> Moves:
    low, high, _ = passes.classifier.values.like(question.pixels)
    versions = Nearby(high - low, radius, noise, seed, samples)
    own, warnings = clean_map(passes, question)
    found = maps_of(passes, question, versions)
    norm = float(own.double().norm())
    if norm == 0:
        warnings += ("the map is zero everywhere: how far others lie from it is not relative to anything",)
    offsets = [float(versions.offset(place, question.pixels).double().norm()) for place in range(samples)]
    return Moves(
        maps=(found - own).double().flatten(1).norm(dim=1),
        pixels=torch.tensor(offsets, dtype=torch.float64),
        norm=norm or 1.0,
        warnings=warnings,
    )
