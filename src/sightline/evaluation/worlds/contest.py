"""A contest on the built-in world: the scenes as each network sees them, and what one method's maps of them score."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.attribution.base import Method
from sightline.demo.scenes import KINDS
from sightline.errors import UsageError
from sightline.evaluation.worlds import scores
from sightline.evaluation.worlds.scenes import Sort, scenes
from sightline.evaluation.worlds.truth import ACCESSORY, BACKGROUND, Drawings, SceneTruth, Versions, truth_of
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.types import Count

HONEST, CHEAT, UNTRAINED = "honest", "cheat", "untrained"
CHEATS: Mapping[Sort, str] = {"bell": ACCESSORY, "snow": BACKGROUND}
"""What the cheating network goes by in each sort of scene; in the others, as the honest one does everywhere, by the
figure."""
MAPS_A_SCENE: Mapping[Sort, int] = {"bell": 3, "snow": 3, "plain": 3, "pair": 2}
"""Three networks are shown a scene of one figure; a pair is shown to the honest one, and each figure is asked for."""
_TOGETHER = 16
_DRAWS = 20


@dataclass(frozen=True, eq=False)
class Seen:
    """One scene before one network: one truth for each figure that is explained."""

    sort: Sort
    truths: tuple[SceneTruth, ...]
    versions: Versions


@dataclass(frozen=True, eq=False)
class Stage:
    """All scenes of a contest before one network."""

    passes: Passes
    scenes: tuple[Seen, ...]

    @property
    def asked(self) -> list[SceneTruth]:
        """Every picture with its target, in the order of the maps."""
        return [truth for scene in self.scenes for truth in scene.truths]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A method's maps of all scenes before one network.

    Attributes:
        maps: `H W` float32 each, in the frame of the drawn picture, in the order of `Stage.asked`.
        passes: for all maps together.
        seconds: for all maps together.
        warnings: what the method said of its maps, once each.
    """

    maps: tuple[NDArray[np.float32], ...]
    passes: Count
    seconds: float
    warnings: tuple[str, ...]


def stages(networks: Mapping[str, Passes], many: Mapping[Sort, int], seed: int) -> tuple[dict[str, Stage], int]:
    """The scenes before each network, and how many had to be drawn to find them.

    Of one figure, a scene is taken if both trained networks name its kind, and if what has the largest effect on the
    score is what the network is known to go by: the figure for the honest one, the bell or the snow for the cheat. Of
    two figures, if the honest network puts both first, and each loses more with its own figure than with the other
    (FunnyBirds' assumption of target sensitivity). Only the honest network is shown pairs.

    Raises:
        UsageError: too few scenes are found in twenty times as many draws.
    """
    found: dict[str, list[Seen]] = {name: [] for name in networks}
    drawn = 0
    for sort, wanted in many.items():
        taken = 0
        for spec in islice(scenes(sort, seed), _DRAWS * wanted):
            if taken == wanted:
                break
            drawn += 1
            drawings = Drawings(spec)
            shown = {name: _seen(passes, sort, drawings) for name, passes in networks.items() if _is_shown(name, sort)}
            drawings.clear()
            if all(_as_expected(name, scene) for name, scene in shown.items()):
                taken += 1
                for name, scene in shown.items():
                    found[name].append(scene)
        if taken < wanted:
            raise UsageError(
                f"of {_DRAWS * wanted} {sort} scenes only {taken} suit, {wanted} are wanted: ask for fewer"
            )
    return {name: Stage(passes, tuple(found[name])) for name, passes in networks.items()}, drawn


def draw_maps(stage: Stage, method: Method) -> Drawn:
    """The maps of one method, pictures together as `explain` takes them."""
    passes, asked, before, start = stage.passes, stage.asked, stage.passes.count, time.perf_counter()
    maps: list[NDArray[np.float32]] = []
    warnings: list[str] = []
    for first in range(0, len(asked), _TOGETHER):
        some = asked[first : first + _TOGETHER]
        pixels = torch.cat([truth.pixels for truth in some])
        wants = method.wants()
        with passes.shared(pixels, gradients=wants.gradients, layers=wants.layers):
            found = method(passes, pixels, Target.of([truth.target for truth in some]))
        values = found.at_pixels(int(pixels.shape[2]), int(pixels.shape[3])).detach().cpu().numpy()
        maps += [truth.frame.to_picture(value) for truth, value in zip(some, values, strict=True)]
        warnings += found.warnings
    seconds = time.perf_counter() - start
    return Drawn(tuple(maps), passes.count - before, seconds, tuple(dict.fromkeys(warnings)))


@dataclass(frozen=True, eq=False)
class Values:
    """What the maps score: a value a scene for each score, None where a score says nothing of a scene.

    Attributes:
        values: score → one value a scene of the sorts that it is taken on.
        threshold: at which completeness is best.
    """

    values: Mapping[str, Sequence[float | None]]
    threshold: float


def judge(stage: Stage, drawn: Drawn) -> Values:
    """All scores of a method's maps before a trained network."""
    maps = iter(drawn.maps)
    single = [(scene, next(maps)) for scene in stage.scenes if len(scene.truths) == 1]
    pairs = [(scene, next(maps), next(maps)) for scene in stage.scenes if len(scene.truths) == 2]
    threshold, complete = _completeness(single)
    found: dict[str, Sequence[float | None]] = {
        **complete,
        "correctness": [scores.single_deletion(map, scene.truths[0]) for scene, map in single],
        "mass": [scores.mass_on(map, scene.truths[0].evidence) for scene, map in single],
        "rank": [scores.rank_on(map, scene.truths[0].evidence) for scene, map in single],
    }
    if pairs:
        found["contrast"] = [scores.target_sensitivity(one, two, scene.truths[0]) for scene, one, two in pairs]
    return Values(found, threshold)


def _completeness(single: Sequence[tuple[Seen, NDArray[np.float32]]]) -> tuple[float, dict[str, list[float | None]]]:
    """Completeness and its ingredients at the threshold where their mean is best, as FunnyBirds chooses it."""
    tables = [_at_thresholds(scene, map) for scene, map in single]
    table = np.array(tables, dtype=np.float64)  # scenes, thresholds, (preserved, deleted, undistracted or nan)
    means = np.nanmean(table, axis=0)
    best = int(np.argmax(means[:, :2].mean(1) + means[:, 2]))
    kept = table[:, best]
    checks = kept[:, :2].mean(1)
    whole = np.where(np.isnan(kept[:, 2]), checks, (checks + np.nan_to_num(kept[:, 2])) / 2)
    columns = {"completeness": whole, "preservation": kept[:, 0], "deletion": kept[:, 1], "distractibility": kept[:, 2]}
    found = {name: [None if np.isnan(one) else float(one) for one in column] for name, column in columns.items()}
    return scores.THRESHOLDS[best], found


def _at_thresholds(scene: Seen, map: NDArray[np.float32]) -> list[tuple[float, float, float]]:
    (truth,), versions = scene.truths, scene.versions
    importance = scores.importances(map, truth.parts)
    sets = {scores.called_important(importance, threshold) for threshold in scores.THRESHOLDS}
    versions.scores([versions.without(some) for named in sets for some in (named, importance.keys() - named)])
    versions.drawings.clear()  # the answers are kept, the pictures of all sets of all methods would be many
    rows = []
    for threshold in scores.THRESHOLDS:
        undistracted = scores.undistracted(importance, threshold, truth)
        rows.append(
            (
                scores.preserved(importance, threshold, versions, truth.target),
                scores.deleted(importance, threshold, versions, truth.target),
                float("nan") if undistracted is None else undistracted,
            )
        )
    return rows


def _is_shown(network: str, sort: Sort) -> bool:
    return sort != "pair" or network == HONEST


def _seen(passes: Passes, sort: Sort, drawings: Drawings) -> Seen:
    spec, versions = drawings.spec, Versions(passes, drawings)
    return Seen(sort, tuple(truth_of(passes, spec, KINDS.index(kind), versions) for kind in spec.kinds), versions)


def _as_expected(network: str, scene: Seen) -> bool:
    """Whether the network does with the scene what it is known to do; nothing is expected of an untrained one."""
    if network == UNTRAINED:
        return True
    first = scene.truths[0]
    if scene.sort == "pair":
        leading = set(np.argsort(first.scores)[-2:].tolist())
        return leading == {truth.target for truth in scene.truths} and all(map(_own_counts_more, scene.truths))
    goes_by = CHEATS.get(scene.sort, first.spec.kinds[0]) if network == CHEAT else first.spec.kinds[0]
    return int(first.scores.argmax()) == first.target and first.top == goes_by


def _own_counts_more(truth: SceneTruth) -> bool:
    effects = {thing.name: thing.effect for thing in truth.things}
    own = KINDS[truth.target]
    return all(effects[own] > effects[kind] for kind in truth.spec.kinds if kind != own)
