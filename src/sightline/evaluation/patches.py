"""Patches to which a network responds: found by its gradients, or by asking it alone; and how they are pasted.

Both ways are seeded, and both ask about pictures and places at random, so that the patch works anywhere in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from sightline.models.targets import Target
from sightline.passes.aims import Aim
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Perturbation
from sightline.types import Pixels, Scores

PLACES, RATE, TRIED = 3, 0.06, 3
"""Places tried in every step of ascent, a step as a part of the range of values, and how many classes are tried."""
CANDIDATES, PROPOSALS = 48, 8
"""How many patches are tried at first without gradients, and how many in every step of search."""


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


def nearest_classes(clean: Scores) -> list[int]:
    """The `TRIED` classes with the highest mean log-probability, of those that no picture is named by."""
    mean, named = clean.log_softmax(1).mean(0), set(clean.argmax(1).tolist())
    order = mean.argsort(descending=True).tolist()
    return [index for index in order if index not in named][:TRIED] or order[:1]


def _log_probability(scores: Scores, target: Target) -> torch.Tensor:
    """Among all classes, whatever the head: the class must win, not only rise."""
    return target.score(scores.log_softmax(1))


def ascended(
    passes: Passes, pixels: Pixels, classes: Sequence[int], side: int, steps: int, generator: torch.Generator
) -> tuple[torch.Tensor, int]:
    """A patch `c s s` and its class: of several, the one that comes furthest in a third of the steps."""
    low, high, _ = passes.classifier.values.like(pixels)
    middle = (low + high)[0].float().cpu() / 2 + 0.1 * (high - low)[0].float().cpu() * (
        2 * torch.rand((pixels.shape[1], side, side), generator=generator) - 1
    )
    begun = dict.fromkeys(classes, (middle, 0.0))
    if len(classes) > 1:
        begun = {index: _climb(passes, pixels, index, middle, max(1, steps // 3), generator) for index in classes}
    best = max(begun, key=lambda index: begun[index][1])
    return _climb(passes, pixels, best, begun[best][0], steps, generator)[0], best


def _climb(
    passes: Passes, pixels: Pixels, index: int, patch: torch.Tensor, steps: int, generator: torch.Generator
) -> tuple[torch.Tensor, float]:
    """The patch after signed steps over all pictures and a few places, and its mean log-probability over half of them.

    The steps grow smaller to a third.
    """
    low, high, _ = passes.classifier.values.like(pixels)
    low, high = low[0].float().cpu(), high[0].float().cpu()
    aim, reached = Aim(Target.of(index, len(pixels)), torch.ones(PLACES), _log_probability), list[float]()
    for step in range(steps):
        corners = corners_in(pixels, patch.shape[-1], PLACES, generator)
        values, slope = passes.at(pixels, patch, lambda leaf, at=corners: Pasted(leaf[None], at), aim)  # type: ignore[misc]
        reached.append(float(values.mean()) / PLACES)
        patch = patch + RATE * (1 - 0.7 * step / steps) * (high - low) * slope.cpu().sign()
        patch = torch.minimum(torch.maximum(patch, low), high)
    late = reached[len(reached) // 2 :]
    return patch, sum(late) / len(late)


def chosen(
    passes: Passes, pixels: Pixels, clean: Scores, target: int | None, side: int, generator: torch.Generator
) -> tuple[torch.Tensor, int]:
    """Of candidates, each pasted at one place into all pictures, the one that raises a class most in the mean.

    Only a class that no picture is named by, or the target.
    """
    patches = _candidates(passes, pixels, side, generator)
    corners = corners_in(pixels, side, len(patches), generator)
    scores = passes.perturbed(pixels, Pasted(patches, corners)).log_softmax(2)
    gain = (scores - clean.log_softmax(1)).mean(1)
    absent = torch.ones(gain.shape[1], dtype=torch.bool).to(gain.device)
    absent[clean.argmax(1)] = False
    gain[:, ~absent] = -torch.inf
    if target is not None:
        others = torch.arange(gain.shape[1]) != target
        gain[:, others] = -torch.inf
    best = int(gain.argmax())
    return patches[best // gain.shape[1]], best % gain.shape[1]


def climbed(
    passes: Passes, pixels: Pixels, patch: torch.Tensor, index: int, steps: int, generator: torch.Generator
) -> torch.Tensor:
    """The patch after steps of search: in each, squares of it are painted over, and the best of all is kept."""
    low, high, _ = passes.classifier.values.like(pixels)
    low, high = low[0].float().cpu(), high[0].float().cpu()
    side = patch.shape[-1]
    for step in range(steps):
        size = max(1, round(side * (0.3 * (1 - step / steps) + 0.02) ** 0.5))
        proposals = patch.repeat(PROPOSALS, 1, 1, 1)
        places = (torch.rand(PROPOSALS, 2, generator=generator) * (side - size + 1)).long().tolist()
        bright = torch.rand((PROPOSALS, patch.shape[0], 1, 1), generator=generator) < 0.5
        for proposal, (top, left), colour in zip(proposals[1:], places[1:], bright[1:], strict=True):
            proposal[:, top : top + size, left : left + size] = torch.where(colour, high, low)
        corners = corners_in(pixels, side, 1, generator).expand(PROPOSALS, 2)
        scores = passes.perturbed(pixels, Pasted(proposals, corners)).log_softmax(2)[..., index]
        patch = proposals[int(scores.mean(1).argmax())]
    return patch


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
