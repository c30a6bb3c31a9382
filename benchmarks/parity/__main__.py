"""Methods of Sightline beside those of other packages, on real networks and photographs. See docs/parity.md.

python -m parity                         measure everything, then write the page
python -m parity --only captum,*:rise    measure these rows again, keep the others
python -m parity --missing               measure what was not measured yet: go on where a run was stopped
python -m parity --page                  write the page from what was measured, measuring nothing
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before torch is imported: processes side by side would only wait for each other's threads, and a peer's progress
# bars show nothing here.
os.environ.update(OMP_NUM_THREADS="1", TQDM_DISABLE="1")

from parity import store, subjects, xplique
from parity.page import page
from parity.rows import EVERY
from parity.table import PEERS, rows

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "benchmarks" / "results" / "parity.json"
PAGE = ROOT / "docs" / "parity.md"


def options() -> argparse.Namespace:
    """What the command was asked for."""
    parser = argparse.ArgumentParser(prog="python -m parity", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="weights and photographs")
    parser.add_argument("--weights", type=Path, default=ROOT / "sightline-out" / "weights", help="expanded weights")
    parser.add_argument("--photographs", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=1000, help="only the first of them, of all that are chosen")
    parser.add_argument("--networks", default=",".join(EVERY), help="names of the table's networks")
    parser.add_argument("--only", default="*", help="peers, or peer:method, such as captum,*:rise (all by default)")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    parser.add_argument("--xplique", type=Path, default=ROOT / "build" / "xplique", help="Xplique's own environment")
    parser.add_argument("--dear", choices=("all", "only", "none"), default="all", help="comparisons that take long")
    parser.add_argument("--missing", action="store_true", help="only comparisons that were not measured yet")
    parser.add_argument("--results", type=Path, default=STORE, help="what was measured, and will be")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> list[str]:
    """Measure what was asked for, and keep it beside what was kept before; what failed."""
    from parity.measure import Wanted
    from parity.measure import measure as measured

    data = subjects.Data(asked.data, asked.weights)
    data.check()
    data.expand()
    networks, begun = asked.networks.split(","), time.monotonic()
    drawn = xplique.Drawn(asked.xplique / "bin" / "python")
    if any(row.peer == "xplique" for row in rows(asked.only)):
        drawn.make(data, networks, (asked.photographs, asked.first), asked.workers)
    about, kept = _about(drawn), store.read(asked.results)[2]
    records = {record.key: record for record in kept}
    done = frozenset(records) if asked.missing else frozenset[tuple[str, ...]]()
    wanted, failures = Wanted(asked.only, asked.dear, asked.photographs, asked.first, done), list[str]()
    for found in measured(data, wanted, networks, asked.workers):
        records |= {record.key: record for record in found.records}
        failures += found.failures
        keep(asked.results, about, records)  # so that nothing is lost when a run is stopped
        print(f"{time.monotonic() - begun:6.0f} s  {found.network}  {len(found.records)} comparisons", flush=True)
    keep(asked.results, about, records)
    print(f"{asked.results} after {time.monotonic() - begun:.0f} s")
    return failures


def keep(path: Path, about: dict[str, Any], records: dict[tuple[str, ...], store.Record]) -> None:
    """Write the records of rows that still are in the table, and the worst of each."""
    everything = rows()
    known = {(row.peer, row.ours, row.call) for row in everything}
    still = [record for key, record in sorted(records.items()) if key[:3] in known]
    photographs = len({record.photograph for record in still})
    store.write(path, {**about, "photographs": photographs}, store.worst(everything, still), still)


def _about(drawn: xplique.Drawn) -> dict[str, Any]:
    """The versions of everything that takes part."""
    own = {name: version(name).partition("+")[0] for name in ("sightline", "torch", "torchvision", "timm", "numpy")}
    peers = {peer.name: version(peer.package) for peer in PEERS if peer.package and peer.name != "xplique"}
    return {"versions": own, "peers": {**peers, **drawn.version()}}


def main() -> int:
    """The command; 1 where a row lies further from its peer than its tolerance."""
    asked = options()
    failures = [] if asked.page else measure(asked)
    about, lines, _ = store.read(asked.results)
    PAGE.write_text(page(about, lines), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
    over = failures + [
        f"{line.ours} beside {line.peer} {line.call} on {name}: {one['difference']:.2e}"
        for line in lines
        for name, one in line.networks.items()
        if line.tolerance is not None and one["difference"] > line.tolerance
    ]
    print("\n".join(over) or "every difference is within its tolerance", file=sys.stderr if over else sys.stdout)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
