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
from sightline.evaluation.aggregate import interval
from sightline.evaluation.worlds.retraining import Retraining
from sightline.evaluation.worlds.small import Small
from sightline.reports.leaderboard import SCORES, findings, ordered, overall, page
from sightline.runs import benchmark as running
from sightline.runs.benchmark import AGAIN, CHEAPER, Setting, benchmark, setting
from sightline.runs.benchmark_plan import Foretold, foretold, still, within

RECORD = ROOT / "benchmarks" / "results" / "leaderboard.json"
QUICK = RECORD.with_name("leaderboard-quick.json")
CHEAP = ("gradient", "grad-cam", "eigen-cam", "lrp")
TOLERANCE = 0.05
"""How far a value of one scene may lie from the record's on another machine. Shares of a few scenes and the choice of a
threshold may tip: they are compared on the means, with room for one scene."""


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def quick() -> dict[str, Any]:
    return json.loads(QUICK.read_text(encoding="utf-8"))


def test_the_page_is_what_the_record_says(record: dict[str, Any]) -> None:
    assert (DOCS / "leaderboard.md").read_text(encoding="utf-8") == page(record), "run: make leaderboard"


def test_another_number_is_another_page(record: dict[str, Any]) -> None:
    changed = copy.deepcopy(record)
    changed["rows"][3]["means"]["honest"]["rank"]["mean"] /= 2
    assert page(changed) != page(record)


@pytest.mark.parametrize("form", ["record", "quick"])
def test_every_method_has_a_row_or_a_reason(form: str, request: pytest.FixtureRequest) -> None:
    record = request.getfixturevalue(form)
    told = {row["name"] for row in record["rows"]} | {one["name"] for one in record["refused"]}
    assert set(METHODS) <= told
    assert {row["name"] for row in record["rows"] if row["null"]} == {"random-map", "centre-map"}
    cheaper = {row["spec"] for row in record["rows"] if row["spec"] != row["name"]}
    assert cheaper <= set(CHEAPER)


def test_means_are_those_of_the_values(record: dict[str, Any], quick: dict[str, Any]) -> None:
    for row in [*record["rows"], *quick["rows"]]:
        for part, scores in row["values"].items():
            for score, values in scores.items():
                known = [value for value in values if value is not None]
                assert all(-1 <= value <= 1 for value in known)
                mean = row["means"][part][score]
                assert mean["n"] == len(known)
                assert mean["mean"] == pytest.approx(sum(known) / len(known), abs=1e-3)
                assert mean["low"] - 1e-3 <= mean["mean"] <= mean["high"] + 1e-3


def test_the_quick_form_comes_out_again(quick: dict[str, Any]) -> None:
    assert quick["form"] == "quick"
    kept = {row["spec"]: row for row in quick["rows"]}
    again = benchmark(setting(CHEAP, quick=True, seed=quick["seed"]))
    assert again["drawn"] == quick["drawn"]
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


@pytest.mark.parametrize("form", ["record", "quick"])
def test_a_method_that_does_not_look_at_the_target_has_no_contrast(form: str, request: pytest.FixtureRequest) -> None:
    record = request.getfixturevalue(form)
    contrast = {row["name"]: row["means"]["honest"]["contrast"]["mean"] for row in record["rows"]}
    assert contrast["eigen-cam"] == contrast["fem"] == 0
    assert contrast["grad-cam"] > 0.9
    assert any("eigen-cam" in text and "contrast 0" in text for text in findings(record))


def _pretended(**shares: tuple[float, float]) -> dict[str, Any]:
    """A record of 40 scenes in which methods reveal a share of the cheats, and a share before training."""

    def row(name: str, cheat: float, blank: float) -> dict[str, Any]:
        values = {"all": _ones(cheat), "untrained": _ones(blank)}
        parts = {
            "honest": {score: _ones(cheat) for score in ("completeness", "correctness", "contrast", "rank")},
            "cheat revealed": values,
            "untrained": {"rank": _ones(blank), "gain": [a - b for a, b in zip(*values.values(), strict=True)]},
        }
        means = {part: {score: _summed(row) for score, row in scores.items()} for part, scores in parts.items()}
        null = name.startswith("null")
        return {"name": name, "spec": f"{name}(steps=2)", "null": null, "values": parts, "means": means}

    rows = [row(name.replace("_", "-"), *two) for name, two in {"null": (0.1, 0.1), **shares}.items()]
    return {"rows": rows, "seed": 0, "again": None}


def _ones(share: float) -> list[float]:
    return [float(place < 40 * share) for place in range(40)]


def _summed(values: list[float]) -> dict[str, Any]:
    found = interval(values, seed=0)
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": len(values)}


def test_the_findings_say_who_reveals_and_who_would_without_having_learnt() -> None:
    told = "\n".join(findings(_pretended(grad_cam=(0.9, 0.0), lime=(0.4, 0.4), fem=(0.0, 0.0))))
    assert "No method reveals the cheat in every scene; most often `grad-cam` (0.90), `lime` (0.40) and" in told
    assert "never by `fem`." in told
    assert "By rank, 2 of 3 (`grad-cam` and `lime`) are clearly above" in told
    assert "untrained network, too**: `lime` (0.40). In that share" in told
    assert "than an untrained network's maps would** (the interval of the difference holds 0; in" in told
    assert "in brackets how often it does): `lime` (0.40)." in told
    assert "no higher than before training** (the interval of the gain holds 0; in brackets" in told
    always = "\n".join(findings(_pretended(grad_cam=(1.0, 0.0), lime=(0.9, 0.0))))
    assert "The cheat is revealed in every scene by `grad-cam`." in always
    assert "By rank, all 2 are clearly above" in always
    assert "By rank, none of 1 is clearly above" in "\n".join(findings(_pretended(fem=(0.0, 0.0))))
    assert "untrained" not in always
    assert "before training" not in always


def test_of_many_methods_the_findings_name_those_that_differ() -> None:
    many = {f"method_{place}": (0.9, 0.5 + place / 100) for place in range(20)}
    told = "\n".join(findings(_pretended(**many, lime=(0.1, 0.0))))
    assert "By rank, 20 of 21 (all but `lime`) are clearly above" in told
    assert "too**: 20 of 21, most of all `method-18` (0.70), `method-19` (0.70) and `method-16` (0.68). In" in told
    few = "\n".join(findings(_pretended(**dict.fromkeys(many, (0.1, 0.0)), lime=(0.9, 0.0))))
    assert "By rank, 1 of 21 (`lime`) is clearly above" in few


def test_training_again_is_told_of_where_it_says_something() -> None:
    shares = (0.1, 0.3)
    roar = {"random-map": 0.8, "centre-map": 0.7, "grad-cam": 0.3, "fem": 0.79, "whole": 0.9}
    alike = {"random-map": 1.0, "centre-map": 1.0, "grad-cam": 0.2, "fem": 0.9}
    again = {
        "settings": {"held_out": 300, "shares": shares, "seeds": 1},
        "roar": {name: {key: [left] for key in map(str, shares)} for name, left in roar.items()},
        "random labels": {name: {"spearman": [value] * 3} for name, value in alike.items()},
    }
    left, same = findings({**_pretended(grad_cam=(1.0, 0.0)), "again": again})[-2:]
    assert "0.80 of scenes after a random map, on 0.70 after a bump" in left
    assert "1 of 2 methods leave less than the random map by more than 0.05" in left
    assert left.endswith("least of all `grad-cam` (0.30).")
    assert same.endswith("1 of 2: `fem` (0.90).")


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


def test_a_run_that_was_broken_off_goes_on_with_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Small(scenes=40, held_out=8, size=32, epochs=1, shares=(0.5,))
    monkeypatch.setattr(running, "FULL", {"bell": 1, "snow": 1, "plain": 0, "pair": 1})
    monkeypatch.setattr(running, "Small", lambda seed: replace(small, seed=seed))
    words = ["benchmark", "--methods", "grad-cam,legrad,gradient", "--out"]
    assert command.main([*words, str(tmp_path / "whole"), "--quiet"]) == 0
    whole, asked, row_of = _without_seconds(tmp_path / "whole"), [], running.row_of

    def counted(method: Any, *rest: Any) -> dict[str, Any]:
        asked.append(str(method))
        if asked.count("gradient") == 1 and str(method) == "gradient":
            raise KeyboardInterrupt
        return row_of(method, *rest)

    monkeypatch.setattr(running, "row_of", counted)
    unfinished = tmp_path / "halved" / "leaderboard.unfinished.jsonl"
    assert command.main([*words, str(tmp_path / "halved"), "--quiet"]) == 130
    assert unfinished.exists()
    assert not (tmp_path / "halved" / "leaderboard.json").exists()
    assert command.main([*words, str(tmp_path / "halved"), "--seed", "1", "--quiet"]) == 2
    assert "another seed (0, now 1)" in capsys.readouterr().err
    asked.append("- goes on")
    assert command.main([*words, str(tmp_path / "halved")]) == 0
    assert "Goes on with 4 pieces" in capsys.readouterr().err
    assert asked[asked.index("- goes on") + 1 :] == ["gradient"]
    assert _without_seconds(tmp_path / "halved") == whole
    assert not unfinished.exists()


def _without_seconds(folder: Path) -> dict[str, Any]:
    written = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))
    for row in written["rows"]:
        del row["seconds"]
    return written


def test_what_is_done_already_costs_nothing_of_the_minutes() -> None:
    wanted, known = _known()
    named = Retraining(wanted.small or Small()).piece
    done = [running.piece(wanted.methods[2]), named(wanted.methods[0])]
    left = still(known, wanted.small, done)
    assert left.contest_seconds == 180
    assert left.again_seconds == known.again_seconds - 600
    assert within(wanted, left, 23).methods == wanted.methods


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
