"""CRAFT: concepts found in crops of pictures, and how much of the score's variance is each concept's.

    V ≈ U W,   V: average over the cells of every crop, enlarged to the input;   W: the concepts, U ≥ 0, W ≥ 0
    ST_r = Σ_n (y(A_n) − y(C_rn))² / (2 N Var y(A)),   y(m) = score(Σ_r m_r U_r(cell) W_r)

Fel, Picard, Béthune, Boissin, Vigouroux, Colin, Cadène, Serre, "CRAFT: Concept Recursive Activation FacTorization for
Explainability", CVPR 2023, section 3; crops of 64 pixels every 0.8 of that, 32 rows and Jansen's estimator of the total
index are the authors' code, 10 concepts their example (20 where none are named). C_r is A with concept r's factor taken
from B. Of one picture, only its own crops are known: for the concepts of a class, give many of its pictures to
`sightline.concepts`. A concept's place is its strength U in the cells, given W, as in the authors' code (the paper
differentiates through the factorisation). A and B are a scrambled Sobol sequence: of `sequence=halton`, as in the
authors' code, 32 rows leave columns that are almost the same, and the index of a linear score of 10 concepts is off by
0.26 on average in place of 0.10. Negative activations: the channels' minima are taken off first. The recursion: a
concept that holds several things is taken apart at a layer before its own, from the crops that hold it,
`craft(within=craft(concepts=10), part=2, layer=layer3)`; these are, ours, the tenth of all in which it is strongest,
and the authors' packages have no such step. The map, ours, lays each index on its cells: Σ_r ST_r U_r / Σ_cells U_r.
Guarantees: map ≥ 0; of a score that is linear in the concepts, ST_r goes to its share of the variance. Costs 1 forward
and 1 backward pass, 1 forward pass a crop, and N (r + 1) + r of what follows the layer.

    sightline.explain(model, "dog.jpg", "craft(patch=64)")
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch.nn import functional

from sightline.attribution.base import Method, Needs, Traits, Wants
from sightline.attribution.concepts.bank import Bank, Crops, Weighed, floor_of
from sightline.attribution.concepts.factors import factorise
from sightline.attribution.concepts.learning import Learning
from sightline.attribution.sensitivity import Sequence, halves, total_indices
from sightline.errors import SpecError, UsageError
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.types import Doc, Pixels, Range

_STEP = 0.8  # of a crop's side, from one to the next
_HOLD = 0.1  # of all crops, that hold a concept


@dataclass(frozen=True, kw_only=True)
class Craft(Learning):
    """Concepts of a class, found in crops of its pictures, each with its share in the variance of the score."""

    concepts: Annotated[int, Range(1, 256), Doc("how many")] = 10
    patch: Annotated[int, Range(2, 1 << 16), Doc("side of a crop, in pixels of the network's input")] = 64
    samples: Annotated[int, Range(2, 1 << 16), Doc("rows of the design; a power of 2 is even")] = 32
    sequence: Annotated[Sequence, Doc("of the design; halton is the authors'")] = "sobol"
    within: Annotated[Method | None, Doc("craft at a later layer, one of whose concepts is taken apart here")] = None
    part: Annotated[int, Range(1, 256), Doc("which of its concepts, numbered as they are told, from 1")] = 1

    traits = Traits(
        family="concepts",
        needs=Needs.LAYER,
        cost="(crops + N (r + 1) + r + 1) F + 1 B",
        paper="Fel et al., CRAFT: Concept Recursive Activation FacTorization for Explainability, CVPR 2023",
        signed=False,
        deterministic=False,
        linear=False,
    )
    measure = "share of each in the variance of the score"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.within is not None and self._above is None:
            raise SpecError(f"craft takes apart a concept of craft, as in within=craft, got {self.within}")
        if self._above is not None and self.part > self._above.concepts:
            raise SpecError(f"craft: {self._above} has concepts 1 to {self._above.concepts}, got part={self.part}")

    @property
    def _above(self) -> Craft | None:
        return self.within if isinstance(self.within, Craft) else None

    def wants(self) -> Wants:
        above = () if self._above is None else self._above.wants().layers
        return Wants(layers=(self.layer, *above))

    def asks(self, pixels: Pixels) -> int:
        return self._asks_to_learn(pixels) + self.samples * (self.concepts + 1)

    def learn(self, passes: Passes, pixels: Pixels, view: LayerView) -> Bank:
        where, boxes = self._crops(passes, pixels, view)
        pooled, floors = [], [floor_of(view.activations)]
        for place in where.unique().tolist():
            crops = _enlarged(pixels[place], boxes[where == place])
            cells = passes.layer(crops, view.layer.name, None).activations
            pooled.append(cells.mean((2, 3)))
            floors.append(floor_of(cells))
        floor = torch.stack(floors).amin(0)
        factors = factorise(torch.cat(pooled) - floor, self.concepts, self.seed)
        bank = Bank(directions=factors.directions.float(), floor=floor, strengths=view.activations[:, :0])
        learnt = Crops(pictures=where, boxes=boxes, strengths=factors.strengths.float())
        strengths = bank.strengths_in(view.activations)
        return Bank(directions=bank.directions, floor=floor, strengths=strengths, crops=learnt)

    def weigh(
        self, passes: Passes, pixels: Pixels, view: LayerView, target: Target, known: tuple[Bank, torch.Tensor]
    ) -> torch.Tensor:
        bank, strengths = known
        first, second = halves(self.sequence, self.concepts, self.samples, self.seed)
        each = torch.eye(self.concepts, dtype=torch.bool)
        rows = torch.cat([first[:, None], torch.where(each, second[:, None], first[:, None])], 1)
        scores = passes.after(pixels, view, Weighed(bank, strengths, rows.flatten(0, 1)))[:, 0]
        return total_indices(target.tiled(len(scores)).score(scores).unflatten(0, (self.samples, -1)))[0]

    def _crops(self, passes: Passes, pixels: Pixels, view: LayerView) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture, `m`, and the box, `m 4`, of every crop, picture by picture.

        Raises:
            UsageError: the concept is taken apart at its own layer, or held by too few crops.
        """
        if self._above is None:
            boxes = self._boxes(*pixels.shape[-2:])
            return torch.arange(len(pixels)).repeat_interleave(len(boxes)), boxes.repeat(len(pixels), 1)
        above = passes.layer(pixels, self._above.layer or passes.classifier.layer, None)
        if above.layer.name == view.layer.name:
            raise UsageError(
                f"craft takes a concept apart at a layer before its own, and both are {view.layer.name!r}: name both, "
                "as in craft(within=craft(layer=layer4), part=2, layer=layer3)"
            )
        crops = self._above.learn(passes, pixels, above).crops
        assert crops is not None
        strength = crops.strengths[:, self.part - 1].cpu()
        kept = strength.argsort(descending=True, stable=True)[: self._count(pixels)].sort().values
        held = int((strength[kept] > 0).sum())
        if held < max(self.concepts, 2):
            raise UsageError(
                f"concept {self.part} is held by {held} of {len(kept)} crops, too few for {self.concepts} concepts: "
                "give more pictures, fewer concepts or a smaller patch (within=craft(patch=…))"
            )
        return crops.pictures[kept], crops.boxes[kept]

    def _count(self, pixels: Pixels) -> int:
        """How many crops concepts are learnt from."""
        if self._above is None:
            return len(pixels) * len(self._boxes(*pixels.shape[-2:]))
        return math.ceil(_HOLD * self._above._count(pixels))

    def _asks_to_learn(self, pixels: Pixels) -> int:
        above = 0 if self._above is None else len(pixels) + self._above._asks_to_learn(pixels)
        return above + self._count(pixels)

    def _boxes(self, height: int, width: int) -> torch.Tensor:
        """Top, left, bottom, right of every crop that lies wholly in the picture, `m 4`; a thin picture has thin crops.

        Raises:
            UsageError: one crop would be the whole picture.
        """
        tall, wide = min(self.patch, height), min(self.patch, width)
        tops, lefts = range(0, height - tall + 1, _step(tall)), range(0, width - wide + 1, _step(wide))
        if len(tops) * len(lefts) == 1:
            raise UsageError(
                f"craft cuts crops of {self.patch} pixels, and the network's input is {height} × {width}: give a "
                f"smaller patch, such as craft(patch={max(2, max(height, width) // 4)})"
            )
        corners = torch.tensor([(top, left) for top in tops for left in lefts])
        return torch.cat([corners, corners + torch.tensor([tall, wide])], 1)


def _step(side: int) -> int:
    return max(1, int(_STEP * side))


def _enlarged(picture: torch.Tensor, boxes: torch.Tensor) -> Pixels:
    """Crops of one picture `c h w`, each as large as the picture: `m c h w`."""
    crops = [picture[:, top:bottom, left:right] for top, left, bottom, right in boxes.tolist()]
    return functional.interpolate(torch.stack(crops), picture.shape[1:], mode="bilinear", align_corners=False)
