"""docs/quality.md, made wholly from the store; and the measured sentences of docs/choosing.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from quality.choosing import measured
from quality.findings import findings, limits
from quality.statistics import RESAMPLES
from quality.summary import Results, results
from quality.tables import table

NOTE = (
    "<!-- Made by `make quality` from benchmarks/results/quality.jsonl: change benchmarks/quality, not this page. -->"
)
_MARKED = re.compile(r"(<!-- measured: ([\w-]+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def write(root: Path, store: Path) -> None:
    """Write the page, and fill the marked parts of the page on choosing."""
    found = results(store)
    (root / "docs" / "quality.md").write_text(page(found), encoding="utf-8")
    choosing = root / "docs" / "choosing.md"
    choosing.write_text(filled(choosing.read_text(encoding="utf-8"), measured(found)), encoding="utf-8")


def filled(text: str, parts: Mapping[str, str]) -> str:
    """A page with what stands between its marks as measured."""
    return _MARKED.sub(lambda mark: f"{mark[1]}{parts[mark[2]]}\n{mark[3]}", text)


def page(found: Results) -> str:
    """The whole page."""
    hard = found.on(found.difficult)
    blocks = [
        "# Quality on real photographs",
        NOTE,
        _opening(found),
        "## What was found",
        _points(findings(found, hard)),
        "![Maps of six photographs by several methods](pictures/quality.webp)",
        "One row a photograph: the maps alone, each on its own scale; the rectangle is the box of the object. The "
        "photographs themselves may not be shown here (their licences).",
        "## Difficult photographs",
        f"{len(found.difficult)} photographs whose box covers at most a quarter of them. Pointing at "
        "the middle is no answer here.",
        table(hard),
        "## All photographs",
        table(found),
        "## Not measured",
        _points([f"{method} ({tool}): {why}" for (tool, method), why in sorted(found.notes.items())]) or "None.",
        "## How it was measured",
        _points(_protocol(found)),
        "## What cannot be concluded",
        _points(limits(found)),
    ]
    return "\n\n".join(blocks) + "\n"


def _opening(found: Results) -> str:
    most = max((len(one.rows) for one in found.summaries), default=0)
    curves = max((sum(row.deletion is not None for row in one.rows.values()) for one in found.summaries), default=0)
    tools = sorted({one.tool for one in found.summaries} - {"sightline", "baseline"})
    variants = sum(one.is_variant for one in found.summaries)
    own = sum(one.tool == "sightline" for one in found.summaries) - variants
    peers = len(found.summaries) - own - variants - 2
    again = f" and {variants} again with other settings" if variants else ""
    return (
        f"{own} methods of Sightline at their defaults{again}, {peers} of {', '.join(tools)} as their own "
        "documentation uses them, and two baselines, on ResNet-50 with real weights and up to "
        f"{most} photographs of ImageNet's validation set with the box of their object; deletion and insertion on up "
        f"to {curves} of them. The rank is "
        "by the **difference from Grad-CAM on the same photographs**, because the methods were not all measured on "
        "the same number of them: means with different n are not to be compared with one another. A cell is the mean, "
        "a 95 % interval, and n, the number of photographs."
    )


def _protocol(found: Results) -> list[str]:
    return [
        "Network: torchvision's ResNet-50 with the product-quantised ImageNet weights that the project is tested with. "
        "Input: the 224 × 224 pixels in the middle of a photograph of 227 × 227. Class: the labelled one.",
        "Photographs: those that the network names rightly, in a fixed random order in which difficult and other ones "
        "take turns; the mean over `all` therefore holds more difficult ones than the data set does.",
        "Pointing (`pointing-game`): 1 where the map's maximum lies in the box or less than 15 pixels from it. Energy "
        "(`relevance-mass`): the share of the map's positive part in the box.",
        "Deletion and insertion by the protocol of RISE: softmax of the class; pixels taken to 0 in the network's "
        "units (grey), or put back into the picture under RISE's blur (11 pixels, σ 5); 28 steps of 224 · 8 pixels, as "
        "in RISE's evaluation of many pictures. A full curve of 224 steps would take 450 passes a map. `insertion − "
        "deletion` is one number for both: higher is better.",
        "Signed maps: as they are. The order of the pixels is that of the signed values, energy and maximum are those "
        "of the positive part; what a package returns is not made absolute unless the package does so by default.",
        "One code judges all, `sightline.evaluate`, on arrays. Its passes run in bfloat16 with batch normalisation "
        "folded into the convolutions, three times as fast; " + _precision(found),
        "Maps run in float32; those marked bf16 (thousands of passes) with `precision=fast`, the peers' under "
        "torch.autocast.",
        "Another package's map that differs nowhere from one judged before by more than a thousandth of the largest "
        "value gets that map's curves.",
        "F and B: passes forward and backward for a map, the median over the photographs; what other packages run "
        "backward is not counted. s: seconds of one core for a map, median.",
        f"Intervals: bootstrap over photographs, {RESAMPLES:,} resamples, 2.5th to 97.5th percentile. A method that "
        "takes long was measured on fewer photographs: each has a share of the time.",
        "Again: `make quality` (`MINUTES=60`); what is in the store is not measured again.",
    ]


def _precision(found: Results) -> str:
    checks = found.checks
    if not checks:
        return "what that changes was not measured."
    worst = max(abs(check) for check in checks)
    middle = sorted(abs(check) for check in checks)[len(checks) // 2]
    return (
        f"on {len(checks)} curves run both ways the areas differ by {worst:.4f} at most and by {middle:.4f} in the "
        "middle."
    )


def _points(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
