"""Explaining again: the maps that the method behind a map makes of other pixels, of another target or network.

Everything but what is asked for stays as it was for the map that is judged: the method's fields with its seed, the
layer it looked at, the precision of its passes. So the same pixels give the same map again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from sightline.evaluation.base import Question
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation
from sightline.types import Map, Pixels

_AT_MOST_TOGETHER = 16  # as `explain` takes pictures
_SAME = {"float32": 1e-3, "fast": 0.1}  # how far a map may lie from itself made again, relative to its norm


@dataclass(frozen=True, eq=False)
class Given(Perturbation):
    """Versions that are there already: `n c h w`, of one picture."""

    versions: Pixels

    def __len__(self) -> int:
        return len(self.versions)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        return self.versions[rows].to(pixels)


@contextmanager
def as_made(passes: Passes, question: Question) -> Iterator[Passes]:
    """Passes in the precision that the map was made in, counted with these."""
    if question.precision in (None, passes.precision):
        yield passes
    else:
        with passes.beside(passes.classifier, question.precision) as others:
            yield others


def maps_of(passes: Passes, question: Question, versions: Perturbation, target: Target | None = None) -> Map:
    """The maps of versions of the picture, as many at a time as memory allows: `n h w` float32, on the CPU.

    Args:
        passes: where the network is asked, or another one in its place.
        question: the map that is judged, with the method behind it.
        versions: of the picture; one map is made of each.
        target: what is explained of the picture; by default what the map explains.
    """
    pixels, target = question.pixels, question.target if target is None else target
    found: list[Map] = []
    with as_made(passes, question) as made:
        while (done := sum(map(len, found))) < len(versions):
            end = min(done + _room(made, question), len(versions))
            batch = versions.make(pixels, slice(done, end))
            found.append(_maps(made, question, batch, target.tiled(len(batch))))
    return torch.cat(found)


def _maps(passes: Passes, question: Question, batch: Pixels, target: Target) -> Map:
    """The maps of a batch after one clean pass, as `explain` makes them."""
    wants, (height, width) = question.behind.wants(), question.map.shape
    layers = [passes.classifier.layer if name is None else name for name in wants.layers]
    with passes.shared(batch, gradients=wants.gradients, layers=layers):
        return question.behind(passes, batch, target).at_pixels(height, width).cpu()


def _room(passes: Passes, question: Question) -> int:
    """How many versions go through together; the first that a network is shown goes alone, and tells what one needs."""
    if not passes.knows(question.pixels):
        return 1
    wants = question.behind.wants()
    at_once = passes.pictures_at_once(question.pixels, gradients=wants.gradients, layers=wants.layers)
    return max(1, min(_AT_MOST_TOGETHER, at_once))


def clean_map(passes: Passes, question: Question) -> tuple[Map, tuple[str, ...]]:
    """The picture's own map made again, `h w`, and a warning where it is not the map that is judged.

    Made once for all metrics that ask these passes about the question.
    """
    return question.once(passes, "clean map", lambda: _clean_map(passes, question))


def _clean_map(passes: Passes, question: Question) -> tuple[Map, tuple[str, ...]]:
    found = maps_of(passes, question, Given(question.pixels))[0]
    judged = torch.from_numpy(question.map)
    apart = float((found - judged).norm()) / max(float(judged.norm()), 1e-30)
    if apart <= _SAME[question.precision or passes.precision]:
        return found, ()
    return found, (
        f"made again, the map differs from the one that is judged by {apart:.1%} of its norm: the network, the device "
        "or the method's settings are not those of the map, and the value is that of the method as it is now",
    )
