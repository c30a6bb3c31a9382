"""The page: each claim, what was found here, and where they differ, why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from findings import orderings, roads, sanity

HEAD = """# Findings of the literature, tried again

<!-- Made by `make findings` from benchmarks/results: change benchmarks/findings, not this page. -->

What papers say about maps and their judges, beside what Sightline finds on ResNet-50 with ImageNet weights and on
photographs of its validation set. Few photographs: what lies within noise is said to.
"""


def page(root: Path, found: dict[str, Any]) -> str:
    """`docs/findings.md`, from what was measured here and by `make quality`."""
    return "\n".join([HEAD, _sanity(found), _orderings(root), _roads(found)])


def _sanity(found: dict[str, Any]) -> str:
    curves = {
        method: {kind: _means(values) for kind, values in each.items()} for method, each in found["sanity"].items()
    }
    counts = found["photographs"]["sanity"]
    rows = [
        [
            f"`{method}`",
            claim,
            *(f"{curves[method][kind][0]:.2f} → {curves[method][kind][-1]:.2f}" for kind in sanity.SIMILARITIES),
            str(counts[method]),
            sanity.outcome(method, curves)
            + ("" if counts[method] >= orderings.FEWEST else "; a hint, so few photographs"),
        ]
        for method, claim in sanity.METHODS.items()
    ]
    heads = ["method", "the paper", *sanity.SIMILARITIES, "photographs", "here"]
    return f"""## Sanity checks (Adebayo et al., 2018)

The network forgets what it has learnt, from the scores down, in {sanity.STAGES} stages. Similarity of the map with the
map before: after the first stage → after the last. Means over the photographs, seed 0
(`parameter-randomisation(stages={sanity.STAGES})`). The paper shows Inception v3 and judges by the eye as well.

{_table(heads, rows)}

Why: guided backpropagation lets positive values through alone, layer by layer, and rebuilds the picture's edges as long
as the first layers stand; when they are forgotten, too, its map goes as well, as in the paper's figures. What is
multiplied by the picture keeps the picture's magnitudes, which is why its rank correlation of magnitudes stays above
the gradient's, and its signed one does not.
"""


def _means(values: Sequence[Any]) -> list[float]:
    """Of each stage the mean over the photographs; earlier records hold that mean alone."""
    return [float(np.mean(one)) for one in values]


def _orderings(root: Path) -> str:
    rows = [
        [
            one.paper,
            f"`{one.better}` before `{one.worse}` by {one.metric}",
            one.words,
            "–" if one.found is None else str(one.found.count),
            one.verdict,
        ]
        for one in orderings.outcomes(root / "benchmarks" / "results" / "quality.jsonl")
    ]
    return f"""## The order of methods by deletion and insertion (RISE, 2018; I-GOS, 2020; iGOS++, 2021)

By RISE's protocol, at our defaults, from the measurements of [quality.md](quality.md): the mean difference on the
photographs that both methods have (95 %, photographs resampled); above 0 is as claimed. The I-GOS papers judge with a
blurred picture for both curves and VGG-19 beside ResNet-50; why their order does not come out whole by RISE's protocol
is told on [quality.md](quality.md).

{_table(["paper", "claim", "difference", "photographs", "here"], rows)}
"""


def _roads(found: dict[str, Any]) -> str:
    rows, single, together, apart = [], {}, {}, {}
    for way, values in found["roads"].items():
        together[way], each = roads.agreement(values)
        single[way], apart[way] = float(np.mean(each)), each
        rows.append([way, f"{together[way]:+.2f}", f"{single[way]:+.2f} ({min(each):+.2f} … {max(each):+.2f})"])
    if single["imputed"] > single["mean colour"]:
        verdict = "As in the paper, imputation makes the two orders agree more, photograph by photograph."
    else:
        verdict = "Other than in the paper, imputation does not make the two orders agree more."
    mean, low, high = _paired(apart["imputed"], apart["mean colour"])
    verdict += f" The difference is {mean:+.2f} (95 %, photographs resampled: {low:+.2f} … {high:+.2f})" + (
        "." if low > 0 or high < 0 else ", which may be noise."
    )
    if all(together[way] > single[way] for way in single):
        verdict += " Means over photographs rank these methods, which differ widely, more alike than single ones do."
    heads = ["hidden pixels show", "agreement of the methods' means", "on each photograph: mean (least … most)"]
    return f"""## ROAD: consistency between orders (Rong et al., 2022)

{len(roads.METHODS)} methods ranked by hiding the most relevant pixels first, and by hiding the least relevant first:
Spearman correlation of the two rankings, {len(apart["imputed"])} photographs. The paper finds 0.01 for a fixed
value and 0.53 for noisy linear imputation, on CIFAR-10, with eight methods of one family and the accuracy over a test
set.

{_table(heads, rows)}

{verdict}
"""


def _paired(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """The mean difference on the same photographs, and its interval."""
    gains = np.subtract(one, other)
    drawn = np.random.default_rng(0).choice(gains, (10_000, len(gains))).mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(gains.mean()), float(low), float(high)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
