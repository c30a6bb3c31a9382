"""Quality of maps on real photographs: measure for some minutes, then write the page. See docs/quality.md.

python -m quality --minutes 60      measure (what is in the store is not measured again), then write the page
python -m quality --page            write the page from the store, measuring nothing
"""

from __future__ import annotations

import argparse
import os
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "benchmarks" / "results" / "quality.jsonl"
SHEET = ROOT / "docs" / "pictures" / "quality.webp"


def options() -> argparse.Namespace:
    """What the command was asked for."""
    parser = argparse.ArgumentParser(prog="python -m quality", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="weights and photographs")
    parser.add_argument("--weights", type=Path, default=ROOT / "sightline-out" / "weights", help="expanded weights")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to measure")
    parser.add_argument("--share", type=float, default=60.0, help="seconds of one core for the maps of each method")
    parser.add_argument("--pictures", type=int, default=100, help="photographs at most")
    parser.add_argument("--curves", type=int, default=24, help="photographs for deletion and insertion, the first ones")
    parser.add_argument("--passes", type=int, default=10_000, help="a photograph: who takes more is not measured")
    parser.add_argument("--only", default="*", help="names such as sightline:*cam,captum:* (all by default)")
    parser.add_argument("--but", default="", help="names that are left out")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch")
    parser.add_argument("--check", type=int, default=0, help="photographs on which the judge is held to float32")
    parser.add_argument("--protocol", action="store_true", help="judge I-GOS by its authors' protocol too")
    parser.add_argument("--sheet", action="store_true", help="draw the grid of maps too")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> None:
    """Measure for the minutes asked for."""
    import torch

    from quality import checks, contestants, measure, networks, peers, photographs, sheet, store

    torch.set_num_threads(asked.threads)
    classifier = networks.explained(asked.data, asked.weights)
    everyone = [*contestants.baselines(), *contestants.owns(), *peers.everyone()]
    wanted = [one for one in everyone if _named(one.name, asked.only) and not _named(one.name, asked.but)]
    kept = store.Store(STORE)
    order = measure.chosen(kept, classifier, photographs.read(asked.data / "photos"), asked.pictures)
    measure.prepare(kept, order)
    maps = sheet.Maps(ROOT / "sightline-out" / "quality")
    bench = measure.Bench(
        classifier, order, kept, maps, asked.curves, asked.passes, lambda line: print(line, flush=True)
    )
    bench.run(wanted, asked.minutes * 60, asked.share)
    checks.check_precision(classifier, order[: asked.check], kept)
    if asked.protocol:
        checks.check_protocol(classifier, order[: sheet.PICTURES], kept, maps)
    if asked.sheet:
        drawn = sheet.draw(order, maps, lambda photograph: measure.case_of(classifier, photograph))
        SHEET.write_bytes(drawn)


def _named(name: str, patterns: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns.split(",") if pattern)


def main() -> None:
    """Measure where it is asked for, and write the page."""
    asked = options()
    if not asked.page:
        measure(asked)
    from quality import page

    page.write(ROOT, STORE)


if __name__ == "__main__":
    main()
