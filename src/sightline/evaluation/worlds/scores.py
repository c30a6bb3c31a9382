"""How well a map tells what is true of a drawn scene. Every score is a number from 0 to 1 for one scene.

    importance of a part   Σ of the map over the part, its edge widened by 2 pixels (FunnyBirds: 5 × 5 of 256)
    called important       importance > t · Σ_parts max(importance, 0), for thresholds t from 0.01 to 0.5

FunnyBirds' total is that of the whole map; where it is negative every part would be called important, so we sum the
positive parts. R. Hesse, S. Schaub-Meyer and S. Roth, ICCV 2023, section 4, and the authors' code. L. Arras, A. Osman
and W. Samek, "CLEVR-XAI", Information Fusion 81, 2022, equations 1 and 2 (relevance mass and rank). The network
is asked by `Versions` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.evaluation.faithfulness.correlation import correlation
from sightline.evaluation.localisation.places import Places, share_of_largest
from sightline.evaluation.worlds.truth import ACCESSORY, BACKGROUND, Part, SceneTruth, Versions

Values = NDArray[np.float32]
THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.01, 0.5, 15).round(3).tolist())
"""FunnyBirds tries 80 from 0.01 to 0.5; these are 15."""
MARGIN, TOLERANCE = 2, 0.03
SAME = 1e-4
"""Shares of two maps that lie no further apart are the same: a picture's place in its batch moves the last digits."""


def importances(map: Values, parts: Sequence[Part]) -> dict[str, float]:
    """The importance of each part by a map `H W` of the picture; the background is not widened."""
    return {
        part.name: float(map[part.mask if part.name == BACKGROUND else widened(part.mask)].sum(dtype=np.float64))
        for part in parts
    }


def widened(mask: NDArray[np.bool_], by: int = MARGIN) -> NDArray[np.bool_]:
    """A mask with all pixels that lie at most `by` rows and `by` columns away."""
    height, width = mask.shape
    padded = np.pad(mask, by)
    steps = range(2 * by + 1)
    rows = np.any([padded[step : step + height] for step in steps], axis=0)
    return np.any([rows[:, step : step + width] for step in steps], axis=0)


def called_important(importance: Mapping[str, float], threshold: float) -> frozenset[str]:
    """The parts that hold more than a share of all that the map gives to parts."""
    total = sum(max(value, 0.0) for value in importance.values())
    return frozenset(name for name, value in importance.items() if value > threshold * total)


def single_deletion(map: Values, truth: SceneTruth) -> float | None:
    """FunnyBirds' correctness: Spearman's correlation of importance and true effect, as ½ r + ½.

    Over the parts of the figure and the accessory; the background is too large to be compared with them by its sum.
    None where no part has an effect, as in the cheating network on snow. A map that gives all parts the same has no
    correlation and gets 0.5 (FunnyBirds leaves such scenes out).
    """
    parts = [part for part in truth.parts if part.name != BACKGROUND]
    if len(parts) < 2 or not any(truth.relevant(part) for part in parts):
        return None
    said = np.array(list(importances(map, parts).values()))
    seen = np.array([part.effect for part in parts])
    return 0.5 + 0.5 * correlation(said, seen, "spearman")[0]


def preserved(importance: Mapping[str, float], threshold: float, versions: Versions, target: int) -> float:
    """FunnyBirds' preservation check: 1 if the network still answers the target with what is called important alone."""
    left_out = importance.keys() - called_important(importance, threshold)
    return float(_answers(versions, left_out, target))


def deleted(importance: Mapping[str, float], threshold: float, versions: Versions, target: int) -> float:
    """FunnyBirds' deletion check: 1 if the network no longer answers the target without what is called important."""
    return float(not _answers(versions, called_important(importance, threshold), target))


def undistracted(importance: Mapping[str, float], threshold: float, truth: SceneTruth) -> float | None:
    """FunnyBirds' distractibility: the share of parts without effect not called important; None where all have one."""
    idle = {part.name for part in truth.parts if not truth.relevant(part)}
    if not idle:
        return None
    return 1 - len(idle & called_important(importance, threshold)) / len(idle)


def mass_on(map: Values, mask: NDArray[np.bool_]) -> float:
    """CLEVR-XAI's relevance mass: the share of the map's positive values on the evidence; 0 for a map without any."""
    positive = np.maximum(map, 0).astype(np.float64)
    return float(positive[mask].sum() / positive.sum()) if positive.any() else 0.0


def rank_on(map: Values, mask: NDArray[np.bool_]) -> float:
    """CLEVR-XAI's relevance rank: of the highest pixels, as many as the evidence has, the share that lies on it."""
    return share_of_largest(Places(map.ravel(), mask.ravel()), int(np.count_nonzero(mask)))


def top_thing(map: Values, truth: SceneTruth) -> str | None:
    """What the map's maximum lies on: a figure, the accessory or the background; the top evidence by a map.

    The accessory counts to 3 % of the picture's side beyond its edge, the pointing game's tolerance (15 of about 500
    pixels: J. Zhang et al., IJCV 2018). Of equal maxima, as in a map of blocks, it is what most of them lie on; a flat
    map has no top evidence.
    """
    if map.min() == map.max():
        return None
    on = {thing.name: thing.mask for thing in truth.things}
    if ACCESSORY in on:
        near = widened(on[ACCESSORY], round(TOLERANCE * map.shape[0]))
        on = {name: near if name == ACCESSORY else mask & ~near for name, mask in on.items()}
    highest = map == map.max()
    return max(on, key=lambda name: int(np.count_nonzero(on[name] & highest)))


def target_sensitivity(first: Values, second: Values, truth: SceneTruth) -> float:
    """FunnyBirds' contrastivity: whether each of two figures gets more from its own map than from the other's.

    Half for each figure; equal but for rounding is not more. Each map is divided by its sum of magnitudes, since the
    scores of the two figures, and so raw maps, may differ in size (FunnyBirds compares raw maps).
    """
    shares = []
    for map in (first, second):
        total = float(np.abs(map).sum(dtype=np.float64)) or 1.0
        shares.append({name: value / total for name, value in importances(map, truth.things).items()})
    one, other = truth.spec.kinds
    return 0.5 * (shares[0][one] > shares[1][one] + SAME) + 0.5 * (shares[1][other] > shares[0][other] + SAME)


def _answers(versions: Versions, left_out: frozenset[str] | set[str], target: int) -> bool:
    """Whether the target is the top class, with half the probability or more that it has in the whole scene.

    FunnyBirds asks for the top class alone; of ten classes, one is on top by chance where nothing is left to see.
    """
    whole, rest = versions.scores([versions.drawings.spec, versions.without(left_out)]).astype(np.float64)
    probability = [np.exp(row[target] - np.logaddexp.reduce(row)) for row in (whole, rest)]
    return int(rest.argmax()) == target and bool(probability[1] >= probability[0] / 2)
