"""What docs/choosing.md says from the measurements: the best methods for what one is ready to pay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quality.findings import FEW
from quality.statistics import Mean
from quality.store import Row
from quality.summary import REFERENCE, Results, Summary, energy, faithful
from quality.tables import cell

BUDGETS = ((0, 3, "1 to 3 passes"), (3, 130, "4 to 130"), (130, 1000, "131 to 1,000"), (1000, 10_000, "thousands"))
"""More passes than, passes at most, and the two in words."""
TELL = 3
"""Methods told for each budget."""
ASKED = (
    *("cam", "grad-cam", "layer-cam", "fused-cam", "guided-grad-cam", "gradient", "smooth-grad"),
    *("integrated-gradients", "lrp", "occlusion", "lime", "kernel-shap", "partition-shap", "rise"),
    *("extremal-perturbation", "i-gos", "igos-plus-plus"),
)
"""The methods that the page names by the question they answer."""


def measured(found: Results) -> dict[str, str]:
    """The marked parts of the page, by name."""
    return {"which": _which(found), "doubt": _doubt(found), "asked": _asked(found)}


def _which(found: Results) -> str:
    """For each budget the best by the curves and the best by place, methods of ours only."""
    hard = found.on(found.difficult)
    rows = [("passes a picture", "most faithful: insertion − deletion", "most of its energy on a small object")]
    rows.append(("---", "---", "---"))
    for more, most, words in BUDGETS:
        within = (more, most)
        rows.append((words, _told(_first(found, within, faithful)), _told(_first(hard, within, energy))))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def _told(best: Sequence[tuple[Summary, Mean]]) -> str:
    told = [f"{one.shown} {gain.value:+.3f} (n {gain.count})" for one, gain in best]
    return ", ".join(told) or f"none was measured on {FEW} photographs"


def _asked(found: Results) -> str:
    """The named methods that were measured, each with its numbers and its passes."""
    hard = found.on(found.difficult)
    rows = [("method", "faithful, less Grad-CAM's", "energy on a small object", "passes"), ("---",) * 4]
    for name in ASKED:
        if not (one := found.of("sightline", name)).rows:
            continue
        gain, mean = one.against(found.reference, faithful), hard.of("sightline", name).mean(lambda row: row.energy)
        told = "0, by definition" if name == REFERENCE[1] else cell(gain, sign=True)
        rows.append((one.shown, told, cell(mean), f"{_passes(one):,}"))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def _first(
    found: Results, within: tuple[int, int], read: Callable[[Row], float | None]
) -> Sequence[tuple[Summary, Mean]]:
    """The best methods of ours within a budget, by their difference from Grad-CAM on enough photographs."""
    more, most = within
    able = [one for one in found.summaries if one.tool == "sightline" and more < _passes(one) <= most]
    gains = [(one, one.against(found.reference, read)) for one in able]
    known = [(one, gain) for one, gain in gains if gain is not None and gain.count >= FEW]
    return sorted(known, key=lambda pair: -pair[1].value)[:TELL]


def _passes(one: Summary) -> int:
    counts = sorted(row.forward + (row.backward or 0) for row in one.rows.values())
    return counts[(len(counts) - 1) // 2]


def _doubt(found: Results) -> str:
    """How sure that is: the methods that are not clearly below the best of their kind."""
    own = [one for one in found.summaries if one.tool == "sightline" and (one.tool, one.method) != REFERENCE]
    gains = {one: gain for one in own if (gain := one.against(found.reference, faithful)) and gain.count >= FEW}
    if not gains:
        return "Too little was measured to say more."
    best = max(gains, key=lambda one: gains[one].value)
    even = [
        one.method
        for one in gains
        if one is not best and ((gap := best.against(one, faithful)) is None or gap.count < FEW or gap.clear <= 0)
    ]
    reference = found.reference.mean(faithful)
    value = reference.value if reference else float("nan")
    return (
        f"Grad-CAM itself has {value:.3f}. The best of all is {best.method}; not clearly below it on the photographs "
        f"that both have: {', '.join(sorted(even)) or 'none'}. All numbers, of other packages too, with their "
        "intervals: [quality](quality.md)."
    )
