"""Try findings of the literature again and write docs/findings.md.

python -m findings              measure, then write the page
python -m findings --page       write the page from what was measured
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "benchmarks" / "results" / "findings.json"


def options() -> argparse.Namespace:
    """What the command was asked for."""
    parser = argparse.ArgumentParser(prog="python -m findings", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="weights and photographs")
    parser.add_argument("--weights", type=Path, default=ROOT / "sightline-out" / "weights", help="expanded weights")
    parser.add_argument(
        "--sanity", type=int, default=12, help="photographs for the sanity checks; 0: as measured before"
    )
    parser.add_argument(
        "--method", action="append", help="of the sanity checks, may repeat; the others stay as measured (default: all)"
    )
    parser.add_argument("--roads", type=int, default=8, help="photographs for ROAD; 0: as measured before")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> None:
    """Measure what is asked for, and keep it beside what was measured before."""
    import torch
    from quality import networks, photographs

    import sightline
    from findings import roads, sanity
    from sightline.attribution.result import Attribution

    torch.set_num_threads(asked.threads)
    classifier = networks.explained(asked.data, asked.weights)
    order = photographs.in_turns(photographs.read(asked.data / "photos"))
    found = json.loads(STORE.read_text(encoding="utf-8")) if STORE.is_file() else {"photographs": {}}
    for name, room in (("sanity", sanity), ("roads", roads)):
        count = getattr(asked, name)
        if not count:
            continue

        @cache
        def maps(method: str, count: int = count) -> Sequence[Attribution]:
            chosen = order[:count]
            return [
                sightline.explain(classifier, one.path, method, target=one.label)  # type: ignore[misc]
                for one in chosen
            ]

        print(f"{name}: {count} photographs", flush=True)
        for part in room.measure(classifier, maps, lambda line: print(line, flush=True), asked.method):
            found[name] = found.get(name, {}) | part
            counts = found["photographs"].get(name, {})
            found["photographs"][name] = counts | dict.fromkeys(part, count)
            STORE.write_text(json.dumps(found, indent=1), encoding="utf-8")


def main() -> None:
    """Measure where it is asked for, and write the page."""
    asked = options()
    if not asked.page:
        measure(asked)
    from findings.page import page

    text = page(ROOT, json.loads(STORE.read_text(encoding="utf-8")))
    (ROOT / "docs" / "findings.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
