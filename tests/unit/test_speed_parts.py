"""The parts of the benchmark of speed: turns and times, agreement, limits, verdicts, and what is kept."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks can be imported, as they are run."""
    pytest.importorskip("scipy")
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def entry(name: str, seconds: float | None, layout: str = "given", **fields: Any) -> Any:
    from speed.store import Entry

    return Entry(name=name, seconds=seconds, layout=layout, each=[seconds] if seconds else [], **fields)


def record(**fields: Any) -> Any:
    from speed.store import Record

    usual = {
        "race": "rise",
        "network": "ResNet-50",
        "parts": 40,
        "of": 4000,
        "title": "RISE, 4000 masks",
        "note": "the same masks",
        "targets": [2.2, 5.0],
        "within": None,
        "threads": 2,
        "clock": "wall",
        "date": "2026-11-21 17:00",
        "load": [0.1, 0.2],
        "about": {
            "machine": "a machine",
            "cores": 2,
            "python": "3.11",
            "versions": {"torch": "2"},
            "peers": {"x": "1"},
        },
        "limit": {"float32": 8.0, "fast": 5.0},
        "plain": {"float32 forward 16": {"eager": 0.002}},
        "entries": [
            entry("float32", 10.0),
            entry("fast", 5.0, spearman=0.999, difference=0.01),
            entry("torchray", 24.0, spearman=1.0, difference=1e-6),
            entry("torchray", 15.0, "channels last"),
            entry("slow", 60.0),
            entry("broken", None, failed="ValueError: no"),
        ],
    }
    return Record(**{**usual, **fields})


def test_everybody_has_a_turn_in_every_round_and_who_fails_is_out() -> None:
    from speed.clock import Contestant, race

    turns: list[str] = []

    def doing(name: str, fails: bool = False) -> Contestant:
        def go() -> list[torch.Tensor]:
            turns.append(name)
            if fails:
                raise ValueError("it cannot")
            return [torch.zeros(2, 2)]

        return Contestant(name, go, go)

    contestants = [doing("a"), doing("b", fails=True), doing("c")]
    race(contestants, 2, "wall", lambda _line: None)
    assert "".join(turns) == "abc" + "ac" + "ca", "one untimed go, then rounds, every other one backwards"
    assert contestants[1].failed == "ValueError: it cannot"
    assert [len(one.seconds) for one in contestants] == [2, 0, 2]


def test_time_and_memory_are_those_of_the_work() -> None:
    from speed.clock import MIB, Contestant, race

    def large() -> list[torch.Tensor]:
        held = torch.ones(64 * MIB // 4)
        time.sleep(0.05)
        return [held[:1].clone()]

    def small() -> list[torch.Tensor]:
        return [torch.ones(1)]

    one, other = Contestant("large", large, large), Contestant("small", small, small)
    race([one, other], 1, "wall", lambda _line: None)
    assert one.middle >= 0.05 > other.middle
    assert 60 <= one.peak / MIB <= 90
    assert other.peak / MIB < 20


def test_agreement_is_the_worst_of_all_maps_and_maps_of_other_shapes_are_refused() -> None:
    from speed.measure import agreement
    from speed.races import Peer

    ours = [torch.arange(6.0).reshape(1, 2, 3), torch.arange(6.0).reshape(1, 2, 3)]
    theirs = [torch.arange(6.0).reshape(2, 3), torch.arange(6.0).reshape(2, 3) * 2]
    assert agreement(ours, [theirs[0], theirs[0]], None) == (1.0, 0.0)
    assert agreement(ours, theirs, None) == (1.0, 0.5)
    peer = Peer(name="p", call="c", make=lambda *_: [], fits=[lambda own, _: own, lambda own, _: 2 * own])
    assert agreement(ours, theirs, peer) == (1.0, 0.0), "each map has its own fit"
    with pytest.raises(ValueError, match="maps of"):
        agreement(ours, [one[:1] for one in theirs], None)


def test_the_limit_counts_passes_of_the_same_precision_and_batch() -> None:
    from speed.limit import limit
    from speed.races import Race

    race = Race(key="k", title="t", ours=lambda _: lambda *_: [], peers=[], forward=10, both=100, batch=8)
    plain = {
        "float32 forward 8": {"eager": 0.5, "other": 0.25},
        "float32 both 8": {"eager": 1.0},
        "fast forward 8": {"other": 0.125},
        "fast both 8": {"other": 0.5},
    }
    assert limit(race, plain, "float32") == pytest.approx(10 * 0.25 + 100 * 1.0)
    assert limit(race, plain, "fast") == pytest.approx(10 * 0.125 + 100 * 0.5)
    assert limit(dataclasses.replace(race, forward=0, both=0), plain, "fast") is None


def test_plain_passes_are_measured_every_way() -> None:
    from speed.limit import plain_passes
    from speed.races import Race

    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    ).eval()
    asked: Any = SimpleNamespace(network=network, pixels=torch.rand(1, 3, 16, 16))
    race = Race(key="k", title="t", ours=lambda _: lambda *_: [], peers=[], forward=1, both=1, batch=2)
    found = plain_passes(asked, [race], "wall")
    assert set(found) == {f"{precision} {kind} 2" for precision in ("float32", "fast") for kind in ("forward", "both")}
    assert {"eager", "channels last, folded"} <= set(found["float32 forward 2"])
    assert all(seconds > 0 for ways in found.values() for seconds in ways.values())
    assert isinstance(network[1], torch.nn.BatchNorm2d), "the network is as it was"


def test_ratios_are_to_the_fastest_that_was_measured() -> None:
    found = record()
    assert found.ratio("float32") == pytest.approx(2.4)
    assert found.ratio("fast") == pytest.approx(4.8)
    assert found.ratio("fast", "channels last") == pytest.approx(3.0)
    assert record(entries=[entry("float32", 1.0)]).ratio("float32") is None


def test_verdicts_on_the_page() -> None:
    from speed.page import page

    text = page([record()])
    row = "| RISE, 4000 masks (40 of 4,000 run) | ResNet-50 | 2.2× / 5× | 2.4× / 4.8× | 3× / 4.8× |"
    assert f"{row} reached / not reached |" in text
    assert "1 of 2 ratios that are asked for are reached. 1 of the others lies beyond what plain passes" in text
    assert "1.2× / 1×" in text, "times the limit"
    assert "failed: ValueError: no" in text
    assert "No other package is faster in any row." in text
    slow = record(entries=[entry("float32", 10.0), entry("fast", 5.0), entry("torchray", 8.0)])
    assert "Another package is faster in 1: RISE, 4000 masks (40 of 4,000 run) on ResNet-50 (float32 0.8×)." in page(
        [slow]
    )


def test_a_disturbed_row_is_called_so() -> None:
    from speed.page import page
    from speed.store import Entry

    entries = [Entry(name="float32", seconds=2.0, each=[1.0, 2.0, 2.1]), entry("other", 3.0)]
    assert "Their ratios are rough." in page([record(entries=entries)])
    assert "Their ratios are rough." not in page([record()])


def test_what_is_missing_or_measured_otherwise_is_told() -> None:
    from speed.page import page

    text = page([record()])
    assert "Not measured yet on ResNet-50: grad-cam, ten-cams," in text
    assert "only point the way" not in text
    assert "1 of 1 rows were measured with 1 thread and cpu time" in page([record(threads=1, clock="cpu")])


def test_the_whole_process_against_the_import_of_torch() -> None:
    from speed.page import page

    def text(seconds: float) -> str:
        entries = [entry("float32", seconds), entry("import torch", 2.0)]
        return page([record(race="process", network="demo", targets=[], limit={}, plain={}, entries=entries)])

    assert "here 3.7 s: reached." in text(3.69)
    assert "here 3.7 s: not reached." in text(3.71)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    from speed.store import read, write

    first, second = record(), record(network="ResNet-18", within=1.25)
    write(tmp_path / "speed.json", [first, second])
    assert read(tmp_path / "speed.json") == {first.key: first, second.key: second}
    assert read(tmp_path / "nothing.json") == {}


def test_first_channels_are_seen_and_the_answer_is_the_same() -> None:
    from speed.subjects import Asked, first_channels

    from sightline.models.classifier import wrap

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    pixels = torch.rand(1, 3, 16, 16)
    asked = Asked("ResNet-18", wrap(network), pixels, (0,), "0")
    few, seen = first_channels(asked, 3), []
    few.network.get_submodule(few.layer).register_forward_hook(lambda *given: seen.append(given[2]))
    assert torch.equal(few.network(pixels), network(pixels))
    assert torch.equal(seen[0], network[0](pixels)[:, :3])
    assert isinstance(network[0], torch.nn.Conv2d), "the given network is as it was"


def test_shares_by_mode() -> None:
    from speed.races import Race

    race = Race(key="k", title="t", ours=lambda _: lambda *_: [], peers=[], parts=100, share=20, quick=5)
    assert [race.parts_run(mode) for mode in ("quick", "share", "full")] == [5, 20, 100]
    assert dataclasses.replace(race, quick=None).parts_run("quick") == 20


TABLE = """
import json, sys
from speed.table import RACES, races
shares = all(race.parts_run("quick") <= race.parts_run("share") <= race.parts for race in RACES)
print(json.dumps({
    "keys": [race.key for race in RACES], "cams": [race.key for race in races("*cam*")], "shares": shares,
    "targets": {race.key: race.targets.get("ResNet-50") for race in RACES}, "heavy": "quantus" in sys.modules,
}))
"""


def test_the_table_names_what_the_issue_asks_for() -> None:
    """In a process of its own: a helper of these tests is called like a package that is measured."""
    from speed.names import ASKED

    if any(find_spec(package) is None for package in ("lime", "pytorch_grad_cam", "captum", "zennit", "saliency")):
        pytest.skip("the packages that are measured are not installed")
    done = subprocess.run([sys.executable, "-c", TABLE], cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    said = json.loads(done.stdout)
    assert len(set(said["keys"])) == len(said["keys"])
    assert said["cams"] == ["grad-cam", "ten-cams", "score-cam"]
    assert said["shares"]
    assert [key for key in said["keys"] if key in ASKED] == list(ASKED), "the page tells which are missing"
    assert set(said["keys"]) - set(ASKED) == {"integrated-gradients-bits"}, "beside the race of the same work"
    assert said["targets"]["occlusion"] == [6, 12]
    assert said["targets"]["score-cam"] == [2.5, 6]
    assert not said["heavy"], "Quantus takes long to import"
