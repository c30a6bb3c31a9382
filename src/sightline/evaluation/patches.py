"""Patches to which a network responds: found by its gradients, or by asking it alone; and how they are pasted.

Both ways are seeded, and both ask about pictures and places at random, so that the patch works anywhere in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from sightline.models.heads import Head
from sightline.models.targets import Target
from sightline.passes.aims import Aim
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation
from sightline.types import Pixels, Scores

PLACES, RATE, TRIED, SHORT = 3, 0.06, 3, 20
"""Places tried in every step of ascent, a step as a part of the range of values; how many classes are tried at first,
in how many steps."""
MOMENTUM, SETTLED = 0.5, 120
"""What counts of the earlier slopes in a step (Y. Dong et al., "Boosting Adversarial Attacks with Momentum", CVPR
2018); steps from which on they stay at three tenths of the first."""
_TINY = 1e-30
CANDIDATES, PROPOSALS, FINE = 48, 8, 60
"""How many patches are tried at first without gradients, how many in every step of search, and when squares stop
shrinking."""
REACHED, PART, LATE, PATIENCE, RISE = 0.8, 0.9, 5, 60, 0.05
"""Enough: this probability in this part of the pictures, as the mean of the last steps. Hopeless: over two such spells
of steps the mean log-probability rose by less than this."""


@dataclass(frozen=True, eq=False)
class Pasted(Perturbation):
    """A patch pasted at one place a version.

    Attributes:
        patches: `1 c s s`, the same in all versions, or `n c s s`.
        corners: `n 2` integers, the top left corner of each version.
    """

    patches: torch.Tensor
    corners: torch.Tensor

    def __len__(self) -> int:
        return len(self.corners)

    def make(self, pixels: Pixels, rows: slice) -> Pixels:
        side = self.patches.shape[-1]
        versions = []
        for version, (top, left) in zip(range(*rows.indices(len(self))), self.corners[rows].tolist(), strict=True):
            pasted = pixels.clone()
            patch = self.patches[version if len(self.patches) > 1 else 0]
            pasted[:, :, top : top + side, left : left + side] = patch.to(pixels)
            versions.append(pasted)
        return torch.cat(versions)


def corners_in(pixels: Pixels, side: int, many: int, generator: torch.Generator) -> torch.Tensor:
    """`many 2`: places where a patch lies wholly inside."""
    room = torch.tensor([pixels.shape[2] - side + 1, pixels.shape[3] - side + 1])
    return (torch.rand(many, 2, generator=generator) * room).long()


def nearest_classes(clean: Scores, head: Head) -> list[int]:
    """The `TRIED` classes with the highest mean log-probability, of those that no picture is named by."""
    mean, named = log_probabilities(clean, head).mean(0), set(clean.argmax(1).tolist())
    order = mean.argsort(descending=True).tolist()
    return [index for index in order if index not in named][:TRIED] or order[:1]


def log_probabilities(scores: Scores, head: Head) -> torch.Tensor:
    """How likely each class is, its logarithm, in the shape of the scores `… k`: what is measured in the end."""
    if head == "softmax":
        return scores.log_softmax(-1)
    if head in ("binary", "sigmoid"):
        return functional.logsigmoid(scores)
    return scores.clamp_min(_TINY).log()


class _Way:
    """What a search has reached so far: log-probabilities, a row a step, a column a picture."""

    def __init__(self) -> None:
        self.rows: list[torch.Tensor] = []

    def add(self, reached: torch.Tensor) -> None:
        self.rows.append(reached.detach().double().cpu())

    @property
    def over(self) -> bool:
        """Enough is reached, or more steps promise nothing."""
        if len(self.rows) < LATE:
            return False
        late = torch.stack(self.rows[-LATE:]).mean(0).exp()
        if float((late >= REACHED).double().mean()) >= PART:
            return True
        spells = self.rows[-2 * PATIENCE : -PATIENCE], self.rows[-PATIENCE:]
        before, after = (float(torch.stack(rows).mean()) if rows else 0.0 for rows in spells)
        return len(self.rows) >= 2 * PATIENCE and after - before < RISE

    @property
    def height(self) -> float:
        """The mean over the later half of the steps."""
        return float(torch.stack(self.rows[len(self.rows) // 2 :]).mean())


def ascended(
    passes: Passes, pixels: Pixels, classes: Sequence[int], side: int, most: int, generator: torch.Generator
) -> tuple[torch.Tensor, int, int]:
    """A patch `c s s`, its class, and the steps it took in all: of several classes the one that a short ascent, which
    goes on from there, comes furthest with.
    """
    low, high, _ = passes.classifier.values.like(pixels)
    middle = (low + high)[0].float().cpu() / 2 + 0.1 * (high - low)[0].float().cpu() * (
        2 * torch.rand((pixels.shape[1], side, side), generator=generator) - 1
    )
    begun, short = dict.fromkeys(classes, (middle, 0.0)), 0
    if len(classes) > 1:
        short = max(1, min(SHORT, most // 3))
        for index in classes:
            patch, way = _climb(passes, pixels, index, middle, short, generator)
            begun[index] = patch, way.height
    best = max(begun, key=lambda index: begun[index][1])
    patch, way = _climb(passes, pixels, best, begun[best][0], most, generator)
    return patch, best, short + len(way.rows)


def _climb(
    passes: Passes, pixels: Pixels, index: int, patch: torch.Tensor, most: int, generator: torch.Generator
) -> tuple[torch.Tensor, _Way]:
    """The patch after signed steps over all pictures and a few places, until that is enough, and what was reached.

    The steps grow smaller to three tenths.
    """
    low, high, _ = passes.classifier.values.like(pixels)
    low, high = low[0].float().cpu(), high[0].float().cpu()

    def standing(scores: Scores, target: Target) -> torch.Tensor:
        return target.score(log_probabilities(scores, passes.head))

    aim, way = Aim(Target.of(index, len(pixels)), torch.ones(PLACES), standing), _Way()
    uphill, settled = torch.zeros_like(patch), min(most, SETTLED)
    while len(way.rows) < most and not way.over:
        step = min(len(way.rows), settled)
        corners = corners_in(pixels, patch.shape[-1], PLACES, generator)
        values, slope = passes.at(pixels, patch, lambda leaf, at=corners: Pasted(leaf[None], at), aim)  # type: ignore[misc]
        way.add(values / PLACES)
        slope = slope.cpu()
        uphill = MOMENTUM * uphill + slope / slope.abs().mean().clamp(min=torch.finfo(slope.dtype).tiny)
        patch = patch + RATE * (1 - 0.7 * step / settled) * (high - low) * uphill.sign()
        patch = torch.minimum(torch.maximum(patch, low), high)
    return patch, way


def chosen(
    passes: Passes, pixels: Pixels, clean: Scores, target: int | None, side: int, generator: torch.Generator
) -> tuple[torch.Tensor, int]:
    """Of candidates, each pasted at one place into all pictures, the one that raises a class most in the mean.

    Only a class that no picture is named by, or the target.
    """
    patches = _candidates(passes, pixels, side, generator)
    corners = corners_in(pixels, side, len(patches), generator)
    scores = log_probabilities(passes.perturbed(pixels, Pasted(patches, corners)), passes.head)
    gain = (scores - log_probabilities(clean, passes.head)).mean(1)
    absent = torch.ones(gain.shape[1], dtype=torch.bool).to(gain.device)
    absent[clean.argmax(1)] = False
    gain[:, ~absent] = -torch.inf
    if target is not None:
        others = torch.arange(gain.shape[1]) != target
        gain[:, others] = -torch.inf
    best = int(gain.argmax())
    return patches[best // gain.shape[1]], best % gain.shape[1]


def climbed(
    passes: Passes, pixels: Pixels, patch: torch.Tensor, index: int, most: int, generator: torch.Generator
) -> tuple[torch.Tensor, int]:
    """The patch after steps of search, and how many: in each, squares of it are painted over, and the best is kept."""
    low, high, _ = passes.classifier.values.like(pixels)
    low, high = low[0].float().cpu(), high[0].float().cpu()
    side, way, fine = patch.shape[-1], _Way(), min(most, FINE)
    while len(way.rows) < most and not way.over:
        size = max(1, round(side * (0.3 * (1 - min(len(way.rows), fine) / fine) + 0.02) ** 0.5))
        proposals = patch.repeat(PROPOSALS, 1, 1, 1)
        places = (torch.rand(PROPOSALS, 2, generator=generator) * (side - size + 1)).long().tolist()
        bright = torch.rand((PROPOSALS, patch.shape[0], 1, 1), generator=generator) < 0.5
        for proposal, (top, left), colour in zip(proposals[1:], places[1:], bright[1:], strict=True):
            proposal[:, top : top + size, left : left + size] = torch.where(colour, high, low)
        corners = corners_in(pixels, side, 1, generator).expand(PROPOSALS, 2)
        scores = log_probabilities(passes.perturbed(pixels, Pasted(proposals, corners)), passes.head)[..., index]
        best = int(scores.mean(1).argmax())
        patch = proposals[best]
        way.add(scores[best])
    return patch, len(way.rows)


def _candidates(passes: Passes, pixels: Pixels, side: int, generator: torch.Generator) -> torch.Tensor:
    """`n c s s`: noise of three grains, pieces of the pictures with more contrast, and whole pictures made small."""
    low, high, _ = passes.classifier.values.like(pixels)
    low, high = low.float().cpu(), high.float().cpu()
    channels, found = pixels.shape[1], []
    for number in range(CANDIDATES):
        if number < min(len(pixels), CANDIDATES // 3):
            found.append(functional.adaptive_avg_pool2d(pixels[number : number + 1].float().cpu(), side))
        elif number % 2:
            grain = (1, 3, side)[number // 2 % 3]
            noise = torch.rand((1, channels, grain, grain), generator=generator)
            found.append(low + functional.interpolate(noise, (side, side)) * (high - low))
        else:
            row = int(torch.randint(len(pixels), (1,), generator=generator))
            (top, left) = corners_in(pixels, side, 1, generator)[0].tolist()
            piece = pixels[row : row + 1, :, top : top + side, left : left + side].float().cpu()
            middle = piece.mean((2, 3), keepdim=True)
            found.append(torch.minimum(torch.maximum(middle + 2 * (piece - middle), low), high))
    return torch.cat(found)
