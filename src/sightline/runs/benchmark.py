"""The built-in benchmark: every method on drawn scenes whose evidence is known, beside contestants that know nothing.

The record that comes out is plain JSON; `sightline.reports.leaderboard` makes a page of it. Same seed, same settings
and same versions give the same record, but for seconds.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, cast

from sightline.attribution.base import Method
from sightline.attribution.table import METHODS
from sightline.demo.train import untrained
from sightline.errors import NonFiniteError, NotSupportedError, UsageError
from sightline.evaluation.aggregate import CONFIDENCE, interval
from sightline.evaluation.worlds.contest import (
    CHEAT,
    CHEATS,
    HONEST,
    UNTRAINED,
    Drawn,
    Stage,
    draw_maps,
    judge,
    stages,
)
from sightline.evaluation.worlds.nulls import NULLS
from sightline.evaluation.worlds.retraining import Small, trained_again
from sightline.evaluation.worlds.scenes import Sort
from sightline.evaluation.worlds.scores import rank_on, top_thing
from sightline.models.catalogue import load
from sightline.passes.passes import Passes
from sightline.types import Count

SCHEMA_VERSION = 1
QUICK: Mapping[Sort, int] = {"bell": 4, "snow": 4, "plain": 1, "pair": 4}
FULL: Mapping[Sort, int] = {"bell": 20, "snow": 20, "plain": 20, "pair": 20}
CHEAPER: tuple[str, ...] = (
    "shapley-sampling(samples=4)",
    "kernel-shap(samples=256)",
    "partition-shap(evaluations=150)",
    "lime(samples=150)",
    "rise(samples=300)",
    "sobol(samples=4)",
    "hsic(samples=200)",
    "meaningful-perturbation(iterations=50)",
    "extremal-perturbation(iterations=30)",
    "i-gos(points=5)",
    "igos-plus(points=3)",
    "igos-plus-plus(points=2)",
    "expected-gradients(samples=25)",
    "blur-ig(steps=30)",
    "guided-ig(steps=30)",
    "xrai(steps=25)",
    "ss-cam(samples=2)",
    "is-cam(steps=2)",
    "poly-cam(channels=24)",
    "opti-cam(steps=30)",
)
"""How the quick form asks dear methods; every other method is asked at its defaults."""
AGAIN_PASSES = 60
"""Methods with at most so many passes a map take part where training is repeated."""
AGAIN = "training again (ROAR, random labels)"
"""What the full form does beside the contest."""
Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a benchmark runs.

    Attributes:
        methods: the contestants, beside those that know nothing.
        scenes: how many of each sort.
        form: `quick` or `full`, for the record.
        seed: of the scenes.
        small: the world in which is trained again, for ROAR and random labels; None for neither.
        left_out: what was wanted and is not run, a method's text or `AGAIN`, with the reason, for the record.
    """

    methods: tuple[Method, ...]
    scenes: Mapping[Sort, int]
    form: str
    seed: int = 0
    small: Small | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)


def setting(methods: Iterable[str | Method] = (), *, quick: bool = False, seed: int = 0) -> Setting:
    """The setting of a benchmark.

    Args:
        methods: names with fields, or values; all of the table when left out. In the quick form a dear method that is
            named without fields is asked more cheaply (`CHEAPER`).
        quick: few scenes and cheaper settings, for some minutes on two cores; else 20 scenes of each sort, defaults.
        seed: of the scenes, of the untrained network and of the intervals; what methods draw has a seed of its own.

    Raises:
        SpecError: a text that names no method or field.
    """
    cheaper = {method.name: method for method in map(METHODS.make, CHEAPER)} if quick else {}
    given = [METHODS.make(cast(Any, method)) for method in methods] or [METHODS.make(name) for name in METHODS]
    chosen = tuple(cheaper.get(method.name, method) if str(method) == method.name else method for method in given)
    if quick:
        return Setting(methods=chosen, scenes=QUICK, form="quick", seed=seed)
    return Setting(methods=chosen, scenes=FULL, form="full", seed=seed, small=Small(seed=seed))


def benchmark(wanted: Setting, say: Say = lambda _: None) -> dict[str, Any]:
    """Run the contest; plain JSON values.

    Args:
        wanted: from `setting`.
        say: told a line of progress at a time.

    Raises:
        UsageError: no method, or scenes that cannot be found.
    """
    if not wanted.methods:
        raise UsageError("a benchmark needs a method: `sightline methods` lists them")
    rows = []
    refused = [
        {"name": spec.partition("(")[0].strip(), "spec": spec, "reason": why} for spec, why in wanted.left_out.items()
    ]
    with ExitStack() as stack:
        networks = {name: stack.enter_context(passes) for name, passes in _networks(wanted.seed).items()}
        found, drawn = stages(networks, wanted.scenes, wanted.seed)
        say(f"{sum(wanted.scenes.values())} scenes taken of {drawn} drawn")
        contestants: Sequence[Method] = (*NULLS, *wanted.methods)
        for place, method in enumerate(contestants, start=1):
            try:
                rows.append(_row(method, found, wanted))
            except (NotSupportedError, NonFiniteError) as error:
                refused.append({"name": method.name, "spec": str(method), "reason": str(error)})
            last = rows[-1]["seconds"] if rows else 0.0
            say(f"[{place}/{len(contestants)}] {method}: {last:.1f} s")
    return {
        "schema_version": SCHEMA_VERSION,
        "form": wanted.form,
        "seed": wanted.seed,
        "confidence": CONFIDENCE,
        "scenes": dict(wanted.scenes),
        "drawn": drawn,
        "versions": {name: metadata.version(name) for name in ("sightline", "torch", "numpy", "pillow")},
        "machine": platform.machine(),
        "rows": rows,
        "refused": refused,
        "again": trained_again(_cheap(contestants, rows), wanted.small, say) if wanted.small else None,
    }


def _cheap(contestants: Sequence[Method], rows: Sequence[Mapping[str, Any]]) -> list[Method]:
    """The contestants whose maps cost few enough passes to be made of every picture of a training set."""
    each = {row["spec"]: sum(row["passes"].values()) / row["maps"] for row in rows}
    return [method for method in contestants if each.get(str(method), AGAIN_PASSES + 1) <= AGAIN_PASSES]


def _networks(seed: int) -> dict[str, Passes]:
    """The two built-in networks, and one of their make as training begins."""
    honest = load("demo")
    blank = replace(honest, function=untrained(seed), name="demo, untrained", weights_sha256=None)
    return {name: Passes(one) for name, one in ((HONEST, honest), (CHEAT, load("demo/cheat")), (UNTRAINED, blank))}


def _row(method: Method, found: Mapping[str, Stage], wanted: Setting) -> dict[str, Any]:
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
        "means": {
            name: {score: _mean(row, wanted.seed) for score, row in part.items()} for name, part in values.items()
        },
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
