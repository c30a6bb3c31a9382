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
    curves, count = found["sanity"], found["photographs"]["sanity"]
    rows = [
        [
            f"`{method}`",
            sanity.METHODS[method],
            *(f"{curve[kind][0]:.2f} → {curve[kind][-1]:.2f}" for kind in sanity.SIMILARITIES),
        ]
        for method, curve in curves.items()
    ]
    heads = ["method", "the paper", *(f"{kind}" for kind in sanity.SIMILARITIES)]
    return f"""## Sanity checks (Adebayo et al., 2018)

The network forgets what it has learnt, from the scores down, in {sanity.STAGES} stages. Similarity of the map with the
map before: after the first stage → after the last. Means over {count} photographs, seed 0
(`parameter-randomisation(stages={sanity.STAGES})`).

{_table(heads, rows)}

{_sanity_words(curves)}
"""


def _sanity_words(curves: dict[str, dict[str, list[float]]]) -> str:
    first = {method: curve["ssim"][0] for method, curve in curves.items()}
    last = {method: curve["absolute-spearman"][-1] for method, curve in curves.items()}
    gap = first["guided-backpropagation"] - first["gradient"]
    guided = (
        f"After the first stage guided backpropagation keeps an SSIM of {first['guided-backpropagation']:.2f}, the "
        f"gradient {first['gradient']:.2f}: "
        + ("as the paper says, it hardly notices." if gap > 0.1 else "no clear difference, other than in the paper.")
    )
    kept = min(last["input-x-gradient"], last["integrated-gradients(steps=16)"]) - last["gradient"]
    product = (
        f"With everything forgotten, input × gradient keeps a rank correlation of magnitudes of "
        f"{last['input-x-gradient']:.2f} and integrated gradients {last['integrated-gradients(steps=16)']:.2f}, the "
        f"gradient {last['gradient']:.2f}: "
        + ("what is multiplied by the picture keeps some of it." if kept > 0.1 else "no clear difference.")
    )
    return f"{guided}\n\n{product}"


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
    rows, single, together = [], {}, {}
    for way, values in found["roads"].items():
        together[way], each = roads.agreement(values)
        single[way] = float(np.mean(each))
        rows.append([way, f"{together[way]:+.2f}", f"{single[way]:+.2f} ({min(each):+.2f} … {max(each):+.2f})"])
    if single["imputed"] > single["mean colour"]:
        verdict = "As in the paper, imputation makes the two orders agree more, photograph by photograph."
    else:
        verdict = "Other than in the paper, imputation does not make the two orders agree more."
    if all(together[way] > single[way] for way in single):
        verdict += " Means over photographs rank these methods, which differ widely, more alike than single ones do."
    heads = ["hidden pixels show", "agreement of the methods' means", "on each photograph: mean (least … most)"]
    return f"""## ROAD: consistency between orders (Rong et al., 2022)

{len(roads.METHODS)} methods ranked by hiding the most relevant pixels first, and by hiding the least relevant first:
Spearman correlation of the two rankings, {found["photographs"]["roads"]} photographs. The paper finds 0.01 for a fixed
value and 0.53 for noisy linear imputation, on CIFAR-10, with eight methods of one family and the accuracy over a test
set.

{_table(heads, rows)}

{verdict}
"""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
