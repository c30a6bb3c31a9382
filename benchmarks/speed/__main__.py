"""Speed of Sightline beside other packages, on the same network, pictures and machine, in turn. See docs/speed.md.

python -m speed                               every race on every network, dear ones by a share of their passes
python -m speed --quick                       ResNet-50 alone, small shares: some minutes
python -m speed --only occlusion --networks VGG-16    these again, the others are kept
python -m speed --page                        write the page from what was measured, measuring nothing
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is imported only where something is measured
    from speed.measure import How

os.environ.setdefault("TQDM_DISABLE", "1")  # a package's progress bars show nothing here

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "benchmarks" / "results" / "speed.json"
PAGE = ROOT / "docs" / "speed.md"
OWN = ("sightline", "torch", "torchvision", "timm", "numpy", "openvino")
OTHERS = ("captum", "grad-cam", "torchcam", "zennit", "saliency", "torchray", "lime", "quantus")


def options() -> argparse.Namespace:
    """What the command was asked for."""
    parser = argparse.ArgumentParser(prog="python -m speed", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="weights and photographs")
    parser.add_argument("--weights", type=Path, default=ROOT / "sightline-out" / "weights", help="expanded weights")
    parser.add_argument("--networks", default="", help="names of the table's networks (all by default)")
    parser.add_argument("--only", default="*", help="names of races, such as occlusion,*cam* (all by default)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: with one thread on a busy machine"
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds at most")
    parser.add_argument(
        "--quick", action="store_true", help="ResNet-50, some works of each family in small shares, two rounds"
    )
    parser.add_argument("--full", action="store_true", help="all passes of every work: hours")
    parser.add_argument("--results", type=Path, default=STORE, help="what was measured, and will be")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> None:
    """Run the races that are asked for, and keep each as it is done beside what was kept before."""
    from fnmatch import fnmatch

    from parity.subjects import Data

    from speed import store, subjects, whole
    from speed.limit import plain_passes
    from speed.measure import measure as measured
    from speed.measure import set_threads
    from speed.names import NETWORKS
    from speed.table import QUICK, in_order, races

    set_threads(asked.threads)
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {line}", flush=True)

    def keep(record: store.Record) -> None:
        kept[record.key] = record
        store.write(asked.results, in_order(kept.values()))

    how = _how(asked, say)
    only = QUICK if asked.quick and asked.only == "*" else asked.only
    networks = asked.networks.split(",") if asked.networks else ["ResNet-50"] if asked.quick else NETWORKS
    data, kept = Data(asked.data, asked.weights), store.read(asked.results)
    data.check()
    data.expand()
    for name in networks:
        if chosen := [race for race in races(only) if name in race.networks]:
            subject = subjects.make(data, name)
            say(f"{name}: plain passes")
            plain = plain_passes(subject, chosen, asked.clock)
            for race in chosen:
                say(f"{name}: {race.title}")
                own = {key: ways for key, ways in plain.items() if key.endswith(f" {race.batch}")}
                keep(measured(race, subject, own, how))
    if any(fnmatch(whole.KEY, pattern) for pattern in only.split(",")):
        say(whole.TITLE)
        keep(whole.measure(how))


def _how(asked: argparse.Namespace, say: Callable[[str], None]) -> How:
    from speed.measure import How

    return How(
        mode="quick" if asked.quick else "full" if asked.full else "share",
        threads=asked.threads,
        clock=asked.clock,
        repeats=min(asked.repeats, 2 if asked.quick else 99),
        about=about(),
        say=say,
    )


def about() -> dict[str, Any]:
    """The machine, and the versions of everything that takes part."""
    return {
        "machine": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: found for name in OWN if (found := installed(name))},
        "peers": {name: found for name in OTHERS if (found := installed(name))},
    }


def installed(package: str) -> str | None:
    """The version of a package, if it is there."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> int:
    """The command."""
    asked = options()
    if not asked.page:
        measure(asked)
    from speed.page import page
    from speed.store import read

    PAGE.write_text(page(list(read(asked.results).values())), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
