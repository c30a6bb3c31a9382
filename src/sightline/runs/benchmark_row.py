"""One contestant of the built-in benchmark: what its maps of all scenes score, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.attribution.base import Method
from sightline.evaluation.aggregate import interval
from sightline.evaluation.worlds.contest import CHEAT, CHEATS, HONEST, UNTRAINED, Drawn, Stage, draw_maps, judge
from sightline.evaluation.worlds.scores import rank_on, top_thing
from sightline.types import Count


def row_of(method: Method, found: Mapping[str, Stage], seed: int) -> dict[str, Any]:
    """One contestant: what it scores before each network, what it cost, what it said."""
    drawn = {name: draw_maps(stage, method) for name, stage in found.items()}
    judged = {name: judge(found[name], drawn[name]) for name in (HONEST, CHEAT)}
    values: dict[str, dict[str, Sequence[float | None]]] = {name: dict(one.values) for name, one in judged.items()}
    values["cheat revealed"] = _revealed(found, drawn)
    values[UNTRAINED] = _by_chance(found, drawn)
    maps = sum(len(one.maps) for one in drawn.values())
    passes = sum((one.passes for one in drawn.values()), Count())
    return {
        "name": method.name,
        "spec": str(method),
        "family": method.traits.family,
        "null": method.traits.family == "null",
        "maps": maps,
        "passes": {"forward": passes.forward, "backward": passes.backward},
        "seconds": round(sum(one.seconds for one in drawn.values()), 2),
        "thresholds": {name: one.threshold for name, one in judged.items()},
        "values": {name: {score: _rounded(row) for score, row in part.items()} for name, part in values.items()},
        "means": {name: {score: _mean(row, seed) for score, row in part.items()} for name, part in values.items()},
        "warnings": list(dict.fromkeys(text for one in drawn.values() for text in one.warnings)),
    }


def _revealed(found: Mapping[str, Stage], drawn: Mapping[str, Drawn]) -> dict[str, Sequence[float | None]]:
    """Scene by scene 1 where the shortcut is the top evidence in the cheating network and not in the honest one."""
    tops = {name: _shortcut_on_top(found[name], drawn[name]) for name in found}
    sorts = [scene.sort for scene in found[HONEST].scenes if scene.sort in CHEATS]
    revealed = [float(cheat and not honest) for cheat, honest in zip(tops[CHEAT], tops[HONEST], strict=True)]
    chance = [float(blank and not honest) for blank, honest in zip(tops[UNTRAINED], tops[HONEST], strict=True)]
    parts: dict[str, Sequence[float | None]] = {
        str(sort): [value for value, own in zip(revealed, sorts, strict=True) if own == sort] for sort in CHEATS
    }
    return {"all": revealed, **parts, "untrained": chance}


def _shortcut_on_top(stage: Stage, drawn: Drawn) -> list[bool]:
    return [
        top_thing(map, truth) == CHEATS[scene.sort]
        for scene, truth, map in _singles(stage, drawn)
        if scene.sort in CHEATS
    ]


def _by_chance(found: Mapping[str, Stage], drawn: Mapping[str, Drawn]) -> dict[str, Sequence[float | None]]:
    """The rank of the untrained network's maps on the figure, and how much higher the honest network's is."""
    honest = [
        (rank_on(map, truth.evidence), truth.evidence) for _, truth, map in _singles(found[HONEST], drawn[HONEST])
    ]
    blank = [map for _, _, map in _singles(found[UNTRAINED], drawn[UNTRAINED])]
    ranks = [rank_on(map, evidence) for map, (_, evidence) in zip(blank, honest, strict=True)]
    return {"rank": ranks, "gain": [own - rank for (own, _), rank in zip(honest, ranks, strict=True)]}


def _singles(stage: Stage, drawn: Drawn) -> list[tuple[Any, Any, Any]]:
    maps = iter(drawn.maps)
    shown = [(scene, truth, next(maps)) for scene in stage.scenes for truth in scene.truths]
    return [(scene, truth, map) for scene, truth, map in shown if len(scene.truths) == 1]


def _rounded(row: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 4) for value in row]


def _mean(row: Sequence[float | None], seed: int) -> dict[str, Any] | None:
    """The mean over scenes with its interval; None where the score says nothing of any scene."""
    values = [value for value in _rounded(row) if value is not None]
    if not values:
        return None
    found = interval(values, seed=seed)
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.record().items()}
