"""The leaderboard says what its record says, its quick form comes out again, and the command writes both."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from document import DOCS, ROOT

from sightline.attribution.table import METHODS
from sightline.cli import main as command
from sightline.errors import SpecError, UsageError
from sightline.evaluation.worlds.retraining import Small
from sightline.reports.leaderboard import SCORES, findings, ordered, overall, page
from sightline.runs import benchmark as running
from sightline.runs.benchmark import AGAIN, CHEAPER, Setting, benchmark, setting
from sightline.runs.benchmark_plan import Foretold, foretold, within

RECORD = ROOT / "benchmarks" / "results" / "leaderboard.json"
CHEAP = ("gradient", "grad-cam", "eigen-cam", "lrp")
TOLERANCE = 0.05
"""How far a value of one scene may lie from the record's on another machine. Shares of a few scenes and the choice of a
threshold may tip: they are compared on the means, with room for one scene."""


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return json.loads(RECORD.read_text(encoding="utf-8"))


def test_the_page_is_what_the_record_says(record: dict[str, Any]) -> None:
    assert (DOCS / "leaderboard.md").read_text(encoding="utf-8") == page(record), "run: make leaderboard"


def test_another_number_is_another_page(record: dict[str, Any]) -> None:
    changed = copy.deepcopy(record)
    changed["rows"][3]["means"]["honest"]["rank"]["mean"] /= 2
    assert page(changed) != page(record)


def test_every_method_has_a_row_or_a_reason(record: dict[str, Any]) -> None:
    told = {row["name"] for row in record["rows"]} | {one["name"] for one in record["refused"]}
    assert set(METHODS) <= told
    assert {row["name"] for row in record["rows"] if row["null"]} == {"random-map", "centre-map"}
    cheaper = {row["spec"] for row in record["rows"] if row["spec"] != row["name"]}
    assert cheaper <= set(CHEAPER)


def test_means_are_those_of_the_values(record: dict[str, Any]) -> None:
    for row in record["rows"]:
        for part, scores in row["values"].items():
            for score, values in scores.items():
                known = [value for value in values if value is not None]
                assert all(-1 <= value <= 1 for value in known)
                mean = row["means"][part][score]
                assert mean["n"] == len(known)
                assert mean["mean"] == pytest.approx(sum(known) / len(known), abs=1e-3)
                assert mean["low"] - 1e-3 <= mean["mean"] <= mean["high"] + 1e-3


def test_the_quick_form_comes_out_again(record: dict[str, Any]) -> None:
    kept = {row["spec"]: row for row in record["rows"]}
    again = benchmark(setting(CHEAP, quick=True, seed=record["seed"]))
    assert again["drawn"] == record["drawn"]
    for row in again["rows"]:
        before = kept[row["spec"]]
        assert row["passes"] == before["passes"]
        for score in ("mass", "rank"):
            assert row["values"]["honest"][score] == pytest.approx(before["values"]["honest"][score], abs=TOLERANCE)
        for part, score in SCORES.values():
            scenes = len(before["values"][part][score])
            allowed = 1 / scenes + TOLERANCE
            assert row["means"][part][score]["mean"] == pytest.approx(before["means"][part][score]["mean"], abs=allowed)


def test_knowing_nothing_stands_below_a_good_method(record: dict[str, Any]) -> None:
    scored = {row["name"]: overall(row) for row in record["rows"]}
    assert max(scored["random-map"], scored["centre-map"]) < min(scored["grad-cam"], scored["lrp"])
    assert "random-map" not in [row["name"] for row in ordered(record)[: len(record["rows"]) // 2]]


def test_a_method_that_does_not_look_at_the_target_has_no_contrast(record: dict[str, Any]) -> None:
    contrast = {row["name"]: row["means"]["honest"]["contrast"]["mean"] for row in record["rows"]}
    assert contrast["eigen-cam"] == contrast["fem"] == 0
    assert contrast["grad-cam"] == 1
    assert any("eigen-cam" in text and "contrast 0" in text for text in findings(record))


def test_the_quick_form_asks_dear_methods_more_cheaply_unless_it_is_told_how() -> None:
    plain = setting(["rise", "rise(samples=50)", "grad-cam"], quick=True)
    assert [str(method) for method in plain.methods] == ["rise(samples=300)", "rise(samples=50)", "grad-cam"]
    assert plain.small is None
    full = setting(["rise"])
    assert [str(method) for method in full.methods] == ["rise"]
    assert full.small is not None
    with pytest.raises(SpecError):
        setting(["rize"])


def test_the_command_writes_record_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "QUICK", {"bell": 1, "snow": 1, "plain": 0, "pair": 1})
    words = ["benchmark", "--quick", "--methods", "grad-cam,legrad", "--out", str(tmp_path)]
    assert command.main(words) == 0
    told = capsys.readouterr()
    assert "random-map" in told.out
    assert "grad-cam" in told.err
    written = json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in written["refused"]] == ["legrad"]
    assert (tmp_path / "leaderboard.md").read_text(encoding="utf-8") == page(written)


def test_the_full_form_trains_again_and_tells_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FULL", {"bell": 1, "snow": 1, "plain": 0, "pair": 1})
    tiny = Small(scenes=40, held_out=8, size=32, epochs=1, shares=(0.5,))
    written = benchmark(replace(setting(["grad-cam", "craft"]), small=tiny))
    again = json.loads(json.dumps(written))["again"]
    assert set(again["random labels"]) == {"random-map", "centre-map", "grad-cam"}  # craft takes too many passes
    assert set(again["roar"]) == {"whole", *again["random labels"]}
    told = page(written)
    assert "(ROAR)" in told
    assert "| `grad-cam` |" in told.split("## Random labels")[1]


def test_the_plan_counts_the_maps_and_passes_that_the_run_then_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "QUICK", {"bell": 1, "snow": 1, "plain": 1, "pair": 1})
    wanted = setting(["grad-cam", "rise(samples=30)", "legrad"], quick=True)
    known, record = foretold(wanted), benchmark(wanted)
    assert {row["maps"] for row in record["rows"]} == {known.maps}
    assert known.contest[wanted.methods[1]] > 2 * known.contest[wanted.methods[0]]
    assert [str(method) for method in known.untold] == ["legrad"]
    assert known.again == known.again_seconds == 0


def test_training_again_is_foretold_for_cheap_methods_alone() -> None:
    small = Small(scenes=64, held_out=8, size=32, epochs=1, shares=(0.5,))
    wanted = replace(setting(["grad-cam", "rise"]), small=small)
    known = foretold(wanted)
    assert [str(method) for method in known.each_again] == ["grad-cam"]
    twice = foretold(replace(wanted, small=replace(small, scenes=640)))
    assert twice.again > 3 * known.again  # ten times as many batches


def _known() -> tuple[Setting, Foretold]:
    """Three methods of 1, 2 and 10 minutes, and 30 minutes of training again."""
    wanted = setting(["gradient", "grad-cam", "rise"])
    cheap, middle, dear = wanted.methods
    contest = {cheap: 60.0, middle: 120.0, dear: 600.0}
    return wanted, Foretold(maps=220, contest=contest, again=600.0, each_again={cheap: 600.0, middle: 600.0})


def test_what_does_not_fit_into_the_minutes_is_left_out_and_told() -> None:
    wanted, known = _known()
    every = within(wanted, known, 43)
    assert (every.methods, every.small, every.left_out) == (wanted.methods, wanted.small, {})
    no_training = within(wanted, known, 42)
    assert no_training.methods == wanted.methods
    assert no_training.small is None
    assert "30.0 minutes: no room in 42" in no_training.left_out[AGAIN]
    few = within(wanted, known, 12)
    assert [str(method) for method in few.methods] == ["gradient", "grad-cam"]
    assert "10.0 minutes" in few.left_out["rise"]
    with pytest.raises(UsageError, match=r"take 1\.5 minutes or more"):
        within(wanted, replace(known, contest={wanted.methods[2]: 90.0}), 1)


def test_what_was_left_out_stands_in_the_record_and_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FULL", {"bell": 1, "snow": 1, "plain": 0, "pair": 1})
    wanted, known = _known()
    written = benchmark(within(wanted, known, 5))
    assert [one["name"] for one in written["refused"]] == ["rise", AGAIN.partition("(")[0].strip()]
    assert "no room in 5 minutes" in page(written).split("## Not run")[1]


def test_the_command_plans_and_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "board"
    assert command.main(["benchmark", "--plan", "--methods", "grad-cam,rise", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "220 maps of each of 2 methods: rise " in told
    assert "for training again with the cheap ones (1)" in told
    assert not out.exists()
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert command.main(["benchmark", "--quick", "--quiet", "--out", str(tmp_path / "file")]) == 2
    assert "no folder can be made there" in capsys.readouterr().err
