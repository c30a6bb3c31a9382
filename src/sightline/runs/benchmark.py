"""The built-in benchmark: every method on drawn scenes whose evidence is known, beside contestants that know nothing.

The record that comes out is plain JSON; `sightline.reports.leaderboard` makes a page of it. Same seed, same settings
and same versions give the same record, but for seconds.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from sightline.attribution.base import Method
from sightline.attribution.table import METHODS
from sightline.demo.network import NETWORKS, weights_file
from sightline.demo.train import untrained
from sightline.errors import NonFiniteError, NotSupportedError, UsageError
from sightline.evaluation.aggregate import CONFIDENCE
from sightline.evaluation.worlds.contest import CHEAT, HONEST, UNTRAINED, Stage, stages
from sightline.evaluation.worlds.nulls import NULLS
from sightline.evaluation.worlds.retraining import Retraining
from sightline.evaluation.worlds.scenes import Sort
from sightline.evaluation.worlds.small import Small
from sightline.models.catalogue import load
from sightline.passes.passes import Passes
from sightline.runs.benchmark_row import row_of
from sightline.runs.unfinished import Unfinished, code_sha256

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


def benchmark(wanted: Setting, say: Say = lambda _: None, kept: Unfinished | None = None) -> dict[str, Any]:
    """Run the contest; plain JSON values.

    Args:
        wanted: from `setting`.
        say: told a line of progress at a time.
        kept: from `unfinished`, to go on with what an earlier run had done, and to keep what this one does.

    Raises:
        UsageError: no method, or scenes that cannot be found.
    """
    if not wanted.methods:
        raise UsageError("a benchmark needs a method: `sightline methods` lists them")
    refused = [
        {"name": spec.partition("(")[0].strip(), "spec": spec, "reason": why} for spec, why in wanted.left_out.items()
    ]
    contestants: Sequence[Method] = (*NULLS, *wanted.methods)
    with kept or unfinished(wanted, None) as known, ExitStack() as stack:
        networks = {name: stack.enter_context(passes) for name, passes in _networks(wanted.seed).items()}
        found, drawn = stages(networks, wanted.scenes, wanted.seed)
        say(f"{sum(wanted.scenes.values())} scenes taken of {drawn} drawn")
        done = []
        for place, method in enumerate(contestants, start=1):
            done.append(known.once(piece(method), lambda method=method: _outcome(method, found, wanted)))  # type: ignore[misc]
            say(f"[{place}/{len(contestants)}] {method}: {done[-1].get('seconds', 0.0):.1f} s")
        rows = [one for one in done if "reason" not in one]
        again = None
        if wanted.small is not None:
            again = Retraining(wanted.small, say, known.once).record(_cheap(contestants, rows))
    return {
        "schema_version": SCHEMA_VERSION,
        "form": wanted.form,
        **_held_for(wanted),
        "confidence": CONFIDENCE,
        "drawn": drawn,
        "rows": rows,
        "refused": [*refused, *(one for one in done if "reason" in one)],
        "again": again,
    }


def unfinished(wanted: Setting, place: Path | None) -> Unfinished:
    """What an earlier run of a benchmark has left in a file, and where this one keeps what it does; None for nowhere.

    The pieces hold for the scenes of one seed, the same code, packages and networks; which methods are wanted is free,
    each method with its settings being a piece of its own.

    Raises:
        UsageError: the file holds what was found under other settings.
    """
    if place is None:
        return Unfinished(None, {})
    weights = {name: hashlib.sha256(weights_file(name).read_bytes()).hexdigest() for name in NETWORKS}
    held_for = {"schema_version": SCHEMA_VERSION, **_held_for(wanted), "networks": weights, "code": code_sha256()}
    return Unfinished(place, held_for)


def piece(method: Method) -> str:
    """The name under which one contestant's row is kept: all of its settings, also those left at their defaults."""
    return f"contest: {method!r}"


def _held_for(wanted: Setting) -> dict[str, Any]:
    """What the rows of a record go by, beside the methods' settings."""
    return {
        "seed": wanted.seed,
        "scenes": dict(wanted.scenes),
        "versions": {name: metadata.version(name) for name in ("sightline", "torch", "numpy", "pillow")},
        "machine": platform.machine(),
    }


def _outcome(method: Method, found: Mapping[str, Stage], wanted: Setting) -> dict[str, Any]:
    """The row of one contestant, or why there is none."""
    try:
        return row_of(method, found, wanted.seed)
    except (NotSupportedError, NonFiniteError) as error:
        return {"name": method.name, "spec": str(method), "reason": str(error)}


def _cheap(contestants: Sequence[Method], rows: Sequence[Mapping[str, Any]]) -> list[Method]:
    """The contestants whose maps cost few enough passes to be made of every picture of a training set."""
    each = {row["spec"]: sum(row["passes"].values()) / row["maps"] for row in rows}
    return [method for method in contestants if each.get(str(method), AGAIN_PASSES + 1) <= AGAIN_PASSES]


def _networks(seed: int) -> dict[str, Passes]:
    """The two built-in networks, and one of their make as training begins."""
    honest = load("demo")
    blank = replace(honest, function=untrained(seed), name="demo, untrained", weights_sha256=None)
    return {name: Passes(one) for name, one in ((HONEST, honest), (CHEAT, load("demo/cheat")), (UNTRAINED, blank))}
