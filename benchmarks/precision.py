"""Does `precision=fast` keep the order of a map's values? Every method, on real networks and photographs.

PYTHONPATH=benchmarks python -m precision              measure what was not measured yet, then write docs/precision.md
PYTHONPATH=benchmarks python -m precision --page       write the page from the store, measuring nothing
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "benchmarks" / "results" / "precision.json"
PAGE = ROOT / "docs" / "precision.md"
NETWORKS = ("ResNet-18", "ResNet-50", "ViT-Tiny")
ASKED = 0.99
Store: TypeAlias = dict[str, dict[str, dict[str, float | str]]]
"""network → method as asked → photograph → agreement, or under "refused" why there is none."""

HEAD = f"""# What `precision=fast` costs

<!-- Made by `make precision` from benchmarks/results/precision.json: change benchmarks/precision.py, not this page. -->

`precision=fast` runs forward passes in bfloat16. Where gradients reach the pixels, the forward pass stays in float32
and the backward pass alone is in bfloat16 ([why](decisions/0014-gradients-as-given.md)); what is asked of the rest of
a network behind a layer, AttnLRP and Guided IG stay in float32 altogether. Each cell is Spearman's
correlation of a map with the same map made in float32, the worst of so many photographs; {ASKED} is what is asked
for, and what lies below it is **set apart**. Where nothing stands the method does not suit the network.

Measured with torch {{torch}} on a CPU, one thread a process. Dear methods are asked for fewer samples than by
default, as their names show: noise of the rounding weighs no less there.

"""


def options() -> argparse.Namespace:
    """What the command was asked for."""
    parser = argparse.ArgumentParser(prog="python -m precision", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="weights and photographs")
    parser.add_argument("--weights", type=Path, default=ROOT / "sightline-out" / "weights", help="expanded weights")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="names of the table's networks")
    parser.add_argument("--photographs", type=int, default=3, help="how many")
    parser.add_argument("--only", default="*", help="names of methods such as *cam,lrp (all by default)")
    parser.add_argument("--passes", type=int, default=600, help="a map: who takes more on a network is left out there")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    return parser.parse_args()


def measure(asked: argparse.Namespace, store: Store) -> None:
    """Measure what is not in the store yet, and keep each comparison as it is made."""
    from parity.subjects import Data

    from sightline.attribution.table import METHODS
    from sightline.runs.benchmark import CHEAPER

    data, cheaper = Data(asked.data, asked.weights), {text.partition("(")[0]: text for text in CHEAPER}
    data.check()
    data.expand()
    for network in asked.networks.split(","):
        classifier = data.classifier(network)
        for method in METHODS:
            if any(fnmatch(method, pattern) for pattern in asked.only.split(",")):
                known = store.setdefault(network, {}).setdefault(cheaper.get(method, method), {})
                for path, label in data.photographs(10)[: asked.photographs]:
                    if path.name not in known and "refused" not in known:
                        known |= _compared(classifier, cheaper.get(method, method), (path, label), asked.passes)
                _keep(store)
                print(network, method, known, flush=True)


def _compared(classifier: Any, method: str, photograph: tuple[Path, int | None], most: int) -> dict[str, float | str]:
    """The rank agreement of two maps, by the photograph's name; or why there is none."""
    from scipy.stats import spearmanr

    import sightline
    from sightline.errors import SightlineError

    path, label = photograph
    exact: Any
    fast: Any  # one map each
    try:
        exact = sightline.explain(classifier, path, method, target=label)
        if exact.passes.forward > most:
            return {"refused": f"{exact.passes.forward:,} passes"}
        fast = sightline.explain(classifier, path, method, target=label, precision="fast")
    except SightlineError as error:
        return {"refused": str(error)}
    return {path.name: float(spearmanr(exact.map.ravel(), fast.map.ravel()).statistic)}


def _keep(store: Store) -> None:
    kept = {"torch": version("torch").partition("+")[0], "networks": store}
    STORE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def read() -> tuple[str, Store]:
    """What was measured, and with which torch."""
    kept: dict[str, Any] = (
        json.loads(STORE.read_text(encoding="utf-8")) if STORE.is_file() else {"torch": "", "networks": {}}
    )
    return kept["torch"], kept["networks"]


def page(torch: str, store: Store) -> str:
    """The page."""
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    below: list[str] = []
    for network, methods in store.items():
        for method, found in methods.items():
            if worst := [value for value in found.values() if isinstance(value, float)]:
                low = min(worst)
                rows[method][network] = f"{low:.4f} · {len(worst)}" if low >= ASKED else f"**{low:.3f}** · {len(worst)}"
                below += [f"{method} on {network}"] * (low < ASKED)
    lines = ["| method | " + " | ".join(f"{network}: agreement · n" for network in NETWORKS) + " |"]
    lines.append("| --- " * (len(NETWORKS) + 1) + "|")
    for method in sorted(rows):
        link = f"[{method}](methods/{method.partition('(')[0]}.md)"
        lines.append(f"| {link} | " + " | ".join(rows[method].get(network, "–") for network in NETWORKS) + " |")
    count = sum(len(row) for row in rows.values())
    said = f"{count - len(below)} of {count} are at {ASKED} or more" + (
        f"; not: {', '.join(below)}.\n\n" if below else ".\n\n"
    )
    return HEAD.format(torch=torch) + said + "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    asked = options()
    if not asked.page:
        measure(asked, read()[1])
    PAGE.write_text(page(*read()), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
