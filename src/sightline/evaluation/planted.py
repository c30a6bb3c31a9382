"""Planted evidence: a truth for any network. A patch to which the network is known to respond is pasted into pictures.

What the patch does is measured, not assumed: the target's probability in each picture with and without it. Where it
decides, a map of the target in the pasted picture must point at the patch: where it brings the target from at most
`WITHOUT` to at least `WITH`; or, of a network that is never that sure (an untrained one with a thousand classes), where
it makes the target the first class, which it was not, and its odds p / (1 − p) at least nine times what they were, as
many times as from `WITHOUT` to `WITH`.

    patch    found by signed gradient ascent on the target's log-probability over pictures and places (T. Brown,
             D. Mané, A. Roy, M. Abadi and J. Gilmer, "Adversarial Patch", 2017, equation 1, with the steps of
             A. Madry et al., ICLR 2018); of a network without gradients the best of seeded candidates by its measured
             effect, changed square by square as long as that helps (M. Andriushchenko et al., "Square Attack", ECCV
             2020, algorithm 2); or given
    mass     share of the map's positive values on the patch
    rank     of the highest pixels, as many as the patch has, the share that lies on it
    peak     1 where the map's maximum lies on the patch

Knowing nothing, all three are about the patch's share of the picture (`Planted.chance`). Nothing is trained, and the
same seed plants the same patch in the same places.

    planted = plant(Passes(model), pixels)                    # pixels: b c h w, prepared
    maps = GradCam()(passes, planted.pixels, planted.target)
    planted.judge(maps.at_pixels(*planted.pixels.shape[2:]))  # a PlantedValue a picture
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.errors import NotSupportedError, TargetError, UsageError
from sightline.evaluation.patches import CANDIDATES, Pasted, ascended, chosen, climbed, corners_in, nearest_classes
from sightline.evaluation.worlds.scores import mass_on, rank_on
from sightline.models.classifier import Classifier
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Map, Pixels, Scores

WITHOUT, WITH = 0.1, 0.5


class PlantedValue(NamedTuple):
    """What one map says of the patch, each from 0 to 1."""

    mass: float
    rank: float
    peak: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Planted:
    """Pictures in which the evidence for the target is known.

    Attributes:
        pixels: `b c h w`, with the patch.
        boxes: `b 4` integers: top, left, bottom, right, ends excluded.
        target: the class that the patch speaks for, one a picture.
        without: `b`, the target's probability without the patch.
        with_: `b`, and with it.
        patch: `c s s`.
        origin: how the patch was found, in words.
        left_out: how many pictures were left out because the patch did not decide there.
    """

    pixels: Pixels
    boxes: NDArray[np.int64]
    target: Target
    without: NDArray[np.float64]
    with_: NDArray[np.float64]
    patch: torch.Tensor
    origin: str
    left_out: int

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """`b h w`, True on the patch."""
        masks = np.zeros((len(self.boxes), *self.pixels.shape[2:]), dtype=bool)
        for mask, (top, left, bottom, right) in zip(masks, self.boxes.tolist(), strict=True):
            mask[top:bottom, left:right] = True
        return masks

    @property
    def chance(self) -> float:
        """The patch's share of the picture: what a map that knows nothing gets."""
        return float(self.masks.mean())

    def judge(self, maps: Map) -> list[PlantedValue]:
        """What maps `b h w` of the target say of the patch, picture by picture."""
        values = maps.detach().float().cpu().numpy()
        if values.shape != self.masks.shape:
            raise UsageError(f"maps of {values.shape} came for planted pictures of {self.masks.shape} (b h w)")
        return [
            PlantedValue(mass_on(map, mask), rank_on(map, mask), float(mask.flat[int(map.argmax())]))
            for map, mask in zip(values, self.masks, strict=True)
        ]


def plant(
    model: Passes | Classifier | Any,
    pixels: Pixels,
    *,
    target: int | None = None,
    patch: torch.Tensor | None = None,
    side: float = 0.3,
    steps: int = 300,
    seed: int = 0,
) -> Planted:
    """Paste evidence for one class into pictures.

    The search stops where the mean probability of the last five steps is 0.8 in nine tenths of the pictures, where two
    spells of 60 steps brought nothing, or at `steps`; how many it took is told in `origin`.

    Costs, for b pictures and n steps, 3·b·n forward and backward passes to find a patch, and 180·b at most to find the
    class (without gradients 48·b + 8·b·n forward ones, none for a patch that is given), and 2·b forward passes to
    measure it.

    Args:
        model: the network, or `Passes`.
        pixels: `b c h w`, prepared.
        target: the class to plant; by default, of the three nearest that no picture is named by, the one that a short
            ascent comes furthest with (of a network without gradients the one that the best candidate speaks for).
        patch: `c s s` in the network's units, with a target; found where it is not given.
        side: of a patch that is to be found, as a part of the picture's smaller side.
        steps: of gradient ascent, or of search, at most.
        seed: of places, start and candidates.

    Raises:
        UsageError: a patch without a target, or one that does not fit; no step.
        TargetError: a class that the network does not have.
        NotSupportedError: the patch decides in no picture.
    """
    passes = model if isinstance(model, Passes) else Passes(model)
    generator = torch.Generator().manual_seed(seed)
    if patch is not None and (target is None or patch.ndim != 3 or patch.shape[0] != pixels.shape[1]):
        raise UsageError(f"a patch is c s s with the pictures' channels and comes with its target=, got {target=}")
    edge = int(patch.shape[-1]) if patch is not None else max(2, round(side * min(pixels.shape[2:])))
    if (patch is not None and patch.shape[1] != edge) or edge >= min(pixels.shape[2:]):
        raise UsageError(f"a patch is square and smaller than the pictures, got side {edge} for {pixels.shape[2:]}")
    if steps < 1:
        raise UsageError(f"a patch is found in one step or more, got {steps=}")
    with passes:
        clean = passes.scores(pixels)
        if target is not None and not 0 <= target < clean.shape[1]:
            raise TargetError(f"there is no class {target}: this network has classes 0 to {clean.shape[1] - 1}")
        if patch is not None:
            assert target is not None
            found, index, origin = patch, target, "given"
        elif passes.classifier.gradients:
            classes = nearest_classes(clean, passes.head) if target is None else [target]
            found, index, took = ascended(passes, pixels, classes, edge, steps, generator)
            origin = f"found by {took} steps of gradient ascent"
        else:
            start, index = chosen(passes, pixels, clean, target, edge, generator)
            found, took = climbed(passes, pixels, start, index, steps, generator)
            origin = f"the best of {CANDIDATES} candidates by measured effect, after {took} steps of search"
        return _measured(passes, pixels, clean, (found, index, origin), generator)


def _measured(
    passes: Passes, pixels: Pixels, clean: Scores, planted: tuple[torch.Tensor, int, str], generator: torch.Generator
) -> Planted:
    """The patch in a place of its own in each picture, its effect, and the pictures where it decides."""
    patch, index, origin = planted
    corners = corners_in(pixels, patch.shape[-1], len(pixels), generator)
    pasted = torch.cat(
        [Pasted(patch[None], corners[row : row + 1]).make(one[None], slice(0, 1)) for row, one in enumerate(pixels)]
    )
    target = Target.of(index, len(pixels))
    answered = passes.scores(pasted)
    without, with_ = (passes.probability(scores, target) for scores in (clean, answered))
    decides = _decides(without, with_, answered.argmax(1) == index).cpu()
    if not decides.any():
        raise NotSupportedError(
            f"the patch ({origin}) moves class {index} from {float(without.mean()):.2%} to {float(with_.mean()):.2%} "
            "in the mean and decides in no picture: give a larger side=, more steps= (where it stopped at the most "
            "allowed), another target=, or a patch= that is known to work; a network whose answer no patch sways, as "
            "without its trained weights, has no evidence that could be planted"
        )
    side = patch.shape[-1]
    boxes = torch.cat([corners, corners + side], 1)[decides]
    return Planted(
        pixels=pasted[decides.to(pasted.device)],
        boxes=boxes.numpy(),
        target=target.rows(decides),
        without=without.double().cpu().numpy()[decides.numpy()],
        with_=with_.double().cpu().numpy()[decides.numpy()],
        patch=patch,
        origin=origin,
        left_out=int((~decides).sum()),
    )


def _decides(without: torch.Tensor, with_: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """Whether the patch decides, `b` booleans; `first`: where the target is then the first class."""
    surely = with_ >= WITH
    rose = _odds(with_) >= _odds(torch.tensor(WITH)) / _odds(torch.tensor(WITHOUT)) * _odds(without)
    return (without <= WITHOUT) & (surely | (first & rose))


def _odds(p: torch.Tensor) -> torch.Tensor:
    return p.double() / (1 - p.double()).clamp_min(1e-12)
