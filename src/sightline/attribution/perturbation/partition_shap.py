"""Partition SHAP: Owen values of a picture that is halved again and again, where halving pays most.

    left half:   ½ [v(C ∪ left) − v(C)] + ½ [v(C ∪ left ∪ right) − v(C ∪ right)],   right half likewise

Owen, "Values of games with a priori unions", 1977; Lundberg's `shap` package, whose partition explainer this follows. A
box is cut across its longer side (between rows where they are equal). Of all boxes C-by-C, the one whose difference of
scores times its weight is largest is halved next, until the budget is spent; what a box is worth is then spread evenly
over its pixels. Guarantees: at any budget the map sums to v(all) − v(none). Nothing is drawn. Costs at most
`evaluations` forward passes and one, two for each halving.

    sightline.explain(model, "dog.jpg", "partition-shap(evaluations=500, fill=blur)")
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import torch

from sightline.attribution.base import Maps, Needs, Traits
from sightline.attribution.foreseen import Foreseen
from sightline.attribution.perturbation.by_score import ByScore
from sightline.attribution.perturbation.game import Hiding, Score, scalar
from sightline.images.fills import Mean
from sightline.models.targets import Target
from sightline.passes.masks import MaskSource
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Masks
from sightline.types import Doc, Pixels, Range

Box: TypeAlias = tuple[int, int, int, int]
_TOGETHER = 8  # boxes halved at a time, whatever the memory: it decides which


@dataclass(frozen=True, kw_only=True)
class PartitionShap(ByScore):
    """Owen values of a picture that is halved again and again."""

    evaluations: Annotated[int, Range(3, 1_000_000), Doc("pictures with parts hidden, at most")] = 500
    fill: Hiding = Mean()
    score: Score = "given"

    own = Traits(
        family="perturbation",
        needs=Needs.SCORES,
        cost="≤ n F",
        paper="Owen, Values of games with a priori unions, 1977; Lundberg et al., shap",
        complete=True,
    )

    def foresee(self, passes: Passes, pixels: Pixels, target: Target) -> Foreseen:
        return Foreseen(forward=self.evaluations, at_most=True)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        given = pixels.to(passes.device)
        clean = scalar(passes, passes.scores(pixels), target, self.score)
        fill = self.fill.make(given, passes.classifier.values)
        maps, differences = [], []
        for row in range(len(given)):
            one = slice(row, row + 1)

            def worth(shown: list[tuple[Box, ...]], one: slice = one) -> list[float]:
                masks = Masks(Boxes(tuple(shown), given.shape[-2:]), fill[one])
                scores = passes.perturbed(given[one], masks)[:, 0]
                return scalar(passes, scores, target.rows(one).tiled(len(shown)), self.score).tolist()

            (nothing,) = worth([()])
            height, width = given.shape[-2:]
            whole = Part((0, 0, height, width), (), nothing, float(clean[row]), 1.0)
            maps.append(owen(whole, worth, self.evaluations - 1))
            differences.append(float(clean[row]) - nothing)
        values, difference = torch.stack(maps).float(), torch.tensor(differences)
        error = values.double().sum((1, 2)) - difference
        return Maps(values=values[:, None], numbers={"score_difference": difference, "completeness_error": error})


@dataclass(frozen=True)
class Part:
    """A box in one company: the others that are shown with it.

    Attributes:
        box: top, left, bottom, right, ends excluded.
        company: boxes that are shown besides.
        without: v of the company.
        with_it: v of the company and the box.
        weight: the share of this company among those of the box.
    """

    box: Box
    company: tuple[Box, ...]
    without: float
    with_it: float
    weight: float

    @property
    def worth(self) -> float:
        """What the box adds, times its weight."""
        return self.weight * (self.with_it - self.without)


@dataclass(frozen=True, eq=False)
class Boxes(MaskSource):
    """Masks that show some boxes and nothing else."""

    shown: tuple[tuple[Box, ...], ...]
    size: torch.Size

    def __len__(self) -> int:
        return len(self.shown)

    def make(self, rows: slice) -> torch.Tensor:
        masks = torch.zeros(len(self.shown[rows]), 1, 1, *self.size)
        for mask, boxes in zip(masks, self.shown[rows], strict=True):
            for top, left, bottom, right in boxes:
                mask[..., top:bottom, left:right] = 1
        return masks


def owen(whole: Part, worth: Callable[[list[tuple[Box, ...]]], list[float]], budget: int) -> torch.Tensor:
    """The map of a picture, float64 `h w`: what each part is worth, spread over its pixels.

    Args:
        whole: the picture as one part.
        worth: v of some sets of boxes.
        budget: how often v may be asked; each halving asks twice.
    """
    values = torch.zeros(whole.box[2:], dtype=torch.float64)
    order, queue = 0, [(-abs(whole.worth), 0, whole)]
    while queue:
        room = min(_TOGETHER, budget // 2, len(queue))
        parts = [heapq.heappop(queue)[2] for _ in range(max(room, 1))]
        small = [part for part in parts if room == 0 or halves(part.box) is None]
        for part in small:
            top, left, bottom, right = part.box
            values[top:bottom, left:right] += part.worth / ((bottom - top) * (right - left))
        cut = [(part, sides) for part in parts if part not in small and (sides := halves(part.box)) is not None]
        asked = worth([(*part.company, side) for part, sides in cut for side in sides]) if cut else []
        budget -= len(asked)
        for (part, (one, other)), first, second in zip(cut, asked[::2], asked[1::2], strict=True):
            half = part.weight / 2
            for new in (
                Part(one, part.company, part.without, first, half),
                Part(one, (*part.company, other), second, part.with_it, half),
                Part(other, part.company, part.without, second, half),
                Part(other, (*part.company, one), first, part.with_it, half),
            ):
                order += 1
                heapq.heappush(queue, (-abs(new.worth), order, new))
    return values


def halves(box: Box) -> tuple[Box, Box] | None:
    """The two halves of a box across its longer side; none of a pixel."""
    top, left, bottom, right = box
    if bottom - top >= right - left:
        middle = (top + bottom) // 2
        return None if bottom - top < 2 else ((top, left, middle, right), (middle, left, bottom, right))
    middle = (left + right) // 2
    return (top, left, bottom, middle), (top, middle, bottom, right)
