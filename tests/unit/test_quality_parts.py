"""The parts of the measurement of quality, on answers that are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def row(method: str, picture: str, **values: Any) -> Any:
    from quality.store import Row

    given: dict[str, Any] = {"settings": "x", "precision": "float32", "seconds": 0.1}
    given |= {"pointing": 1.0, "energy": 0.5, "deletion": 0.25, "insertion": 0.5, "forward": 1, "backward": 1}
    return Row(tool="sightline", method=method, picture=picture, **{**given, **values})


def test_photographs_take_turns_and_their_order_is_fixed() -> None:
    from quality.photographs import Photograph, in_turns

    small, large = (0.0, 0.0, 113.5, 113.5), (0.0, 0.0, 113.5, 113.6)
    given = [Photograph(Path(f"{place}.jpg"), 1, small if place < 4 else large) for place in range(10)]
    found = in_turns(given)
    assert [one.difficult for one in found] == [True, False] * 4 + [False] * 2
    assert sorted(one.path.name for one in found) == sorted(one.path.name for one in given)
    assert found == in_turns(given)
    assert found != in_turns(given, seed=1)


def test_a_box_of_just_a_quarter_is_difficult_and_one_of_more_is_not() -> None:
    from quality.photographs import Photograph

    assert Photograph(Path("a"), 0, (10.0, 20.0, 123.5, 133.5)).share == pytest.approx(0.25)
    assert Photograph(Path("a"), 0, (0.0, 0.0, 113.5, 113.5)).difficult
    assert not Photograph(Path("a"), 0, (0.0, 0.0, 114.0, 114.0)).difficult


def test_the_box_lies_a_pixel_and_a_half_further_in_the_crop() -> None:
    """The centre crop of 224 in 227: a mask in the photograph's frame lands where torchvision's crop puts it."""
    from sightline.evaluation.masks import as_mask
    from sightline.images.frame import Frame

    frame = Frame((227, 227), 1, (227, 227), 2, 2, (224, 224))  # round(1.5) is 2, half to even
    mask = as_mask((20.0, 30.0, 60.0, 90.0), (227, 227))
    assert mask is not None
    rows, columns = np.nonzero(frame.from_picture(mask))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (28, 88, 18, 58)


def test_a_name_stops_at_its_share_and_its_first_is_always_made() -> None:
    from quality.schedule import Schedule

    schedule = Schedule(["quick", "slow", "known"], 4, 1e9, share=10.0, done={("known", 0)}, spent={"known": [3.0]})
    cost = {"quick": 1.0, "slow": 60.0, "known": 3.0}
    turns = []
    for name, picture in schedule.turns():
        turns.append((name, picture))
        schedule.spend(name, cost[name])
    assert turns[:2] == [("quick", 0), ("slow", 0)]
    assert [picture for name, picture in turns if name == "quick"] == [0, 1, 2, 3]
    assert [picture for name, picture in turns if name == "slow"] == [0]
    assert [picture for name, picture in turns if name == "known"] == [1, 2]


def test_no_turn_begins_after_the_time_is_over() -> None:
    from quality.schedule import Schedule

    assert list(Schedule(["one"], 3, 0.0, share=1.0).turns()) == []


def test_the_interval_of_a_mean_is_that_of_resampled_photographs() -> None:
    from quality.statistics import Mean, mean

    values = np.random.default_rng(4).normal(0.5, 0.2, 400)
    found = mean(list(values))
    assert found is not None
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 400**0.5
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert mean([0.25] * 7) == Mean(0.25, 0.25, 0.25, 7)
    assert mean([]) is None


def test_of_one_photograph_nothing_is_clear() -> None:
    from quality.statistics import mean

    found = mean([5.0])
    assert found is not None
    assert (found.value, found.clear) == (5.0, 0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=8), st.floats(-3, 3))
def test_a_difference_is_of_the_same_photographs_only(pairs: list[tuple[float, float]], stray: float) -> None:
    from quality.statistics import difference, mean

    one = {str(place): first for place, (first, _) in enumerate(pairs)} | {"only here": stray}
    other = {str(place): second for place, (_, second) in enumerate(pairs)} | {"only there": -stray}
    assert difference(one, other) == mean([first - second for first, second in pairs])


def test_a_store_survives_a_kill_and_keeps_what_says_more(tmp_path: Path) -> None:
    from quality.store import Note, Scene, Store

    store = Store(tmp_path / "new" / "rows.jsonl")
    whole, place = row("cam", "a.jpg"), row("cam", "a.jpg", deletion=None, insertion=None)
    for one in (whole, place, row("cam", "b.jpg"), Note(tool="x", method="y", why="z"), Scene(picture="p", share=0.2)):
        store.add(one)
    with store.path.open("a", encoding="utf-8") as file:
        file.write('{"tool": "sightline", "method": "cut o')
    assert list(store.rows().values()) == [whole, row("cam", "b.jpg")]
    assert store.notes() == {("x", "y"): "z"}
    assert store.shares() == {"p": 0.2}


def test_the_last_settings_of_a_method_count(tmp_path: Path) -> None:
    from quality.store import Store
    from quality.summary import results

    store = Store(tmp_path / "rows.jsonl")
    store.add(row("cam", "a.jpg", energy=0.1))
    store.add(row("cam", "b.jpg", energy=0.1))
    store.add(row("cam", "a.jpg", energy=0.9, settings="new"))
    (found,) = results(store.path).summaries
    assert [one.energy for one in found.rows.values()] == [0.9]


def test_the_network_that_judges_is_the_one_that_is_explained() -> None:
    from quality.networks import judging

    import sightline

    class Block(torch.nn.Sequential):
        pass

    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten()]
    network = Block(*layers).eval()
    network[1].running_mean.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))  # type: ignore[union-attr]
    network[1].weight.data.uniform_(0.5, 2, generator=torch.Generator().manual_seed(2))  # type: ignore[union-attr]
    twin = judging(sightline.wrap(network)).network
    pixels = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(3))
    assert twin is not None
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in twin.modules())
    assert torch.allclose(twin(pixels), network(pixels), atol=1e-5)
    assert isinstance(network[1], torch.nn.BatchNorm2d)


def test_baselines_know_nothing_and_stay_the_same() -> None:
    from quality.contestants import SHAPE, Case, baselines

    import sightline

    case = Case(sightline.wrap(torch.nn.Flatten()), Path("a.jpg"), torch.zeros(1, 3, *SHAPE), 0)
    random, centre = (one.make(case) for one in baselines())
    assert np.array_equal(random.map, baselines()[0].make(case).map)
    assert len(np.unique(random.map)) > 10_000
    assert np.unravel_index(centre.map.argmax(), SHAPE) in [(111, 111), (111, 112), (112, 111), (112, 112)]
    assert (random.forward, random.backward) == (0, 0)


def test_a_peers_map_is_summed_over_channels_and_enlarged() -> None:
    from quality.contestants import SHAPE, as_map

    channels = torch.ones(1, 3, *SHAPE) * torch.tensor([1.0, 2.0, -5.0]).view(1, 3, 1, 1)
    assert np.allclose(as_map(channels), -2.0)
    assert as_map(np.eye(7, dtype=np.float32)).shape == SHAPE
    coarse = torch.zeros(1, 7, 7)
    coarse[0, 0, 0] = 1
    assert as_map(coarse)[0, 0] == 1
    assert as_map(coarse)[-1, -1] == 0


def measured(tmp_path: Path, insertions: dict[str, float], pictures: int = 8) -> Any:
    """Results in which every method has the same deletion, and an insertion of its own that wavers a little."""
    from quality.store import Scene, Store
    from quality.summary import results

    store = Store(tmp_path / "rows.jsonl")
    for place in range(pictures):
        store.add(Scene(picture=f"{place}.jpg", share=0.1 if place % 2 else 0.6))
        for method, insertion in insertions.items():
            given = row(method, f"{place}.jpg", insertion=insertion + 0.01 * (place % 3))
            baseline = method in ("centre", "random")
            store.add(dataclasses.replace(given, tool="baseline") if baseline else given)
    return results(store.path)


KNOWN = {"grad-cam": 0.6, "i-gos": 0.8, "gradient": 0.3, "centre": 0.5, "random": 0.2}


def test_the_findings_follow_the_numbers(tmp_path: Path) -> None:
    from quality.findings import findings

    found = measured(tmp_path, KNOWN)
    said = findings(found, found.on(found.difficult))
    assert "the best are i-gos (+0.200" in said[0]
    assert "i-gos comes 1st of 5" in " ".join(said)
    assert any("(`centre`) 2 of 3" in sentence and "in the mean: gradient." in sentence for sentence in said)
    assert any("(`random`) 3 of 3" in sentence and "in the mean: none." in sentence for sentence in said)


def test_other_numbers_are_other_findings(tmp_path: Path) -> None:
    """The broken twin: with I-GOS below Grad-CAM the page must not praise it."""
    from quality.findings import findings

    found = measured(tmp_path, KNOWN | {"i-gos": 0.4})
    said = findings(found, found.on(found.difficult))
    assert "the best are grad-cam (+0.000" in said[0]
    assert any(sentence.startswith("i-gos comes 3rd of 5, on the photographs that both have with") for sentence in said)


def test_of_few_photographs_nothing_is_said(tmp_path: Path) -> None:
    from quality.findings import FEW, findings

    found = measured(tmp_path, KNOWN, pictures=FEW - 1)
    said = findings(found, found.on(found.difficult))
    assert said[0].startswith("Too little was measured")
    assert not any(word in " ".join(said) for word in ("clearly better", "1st"))


def test_the_table_ranks_by_the_difference_on_the_same_photographs(tmp_path: Path) -> None:
    from quality.tables import ranked, table

    found = measured(tmp_path, KNOWN)
    assert [one.method for one in ranked(found)] == ["i-gos", "grad-cam", "centre", "gradient", "random"]
    lines = table(found).splitlines()
    assert "| +0.200 (+0.200 to +0.200) · n 8 |" in lines[2]
    assert table(found.on(found.difficult)).count("· n 4") > 0


def test_a_setting_is_judged_beside_its_default_and_linked_to_the_methods_page(tmp_path: Path) -> None:
    from quality.findings import findings
    from quality.page import page

    found = measured(tmp_path, KNOWN | {"gradient(channels=largest)": 0.35})
    assert any("`gradient(channels=largest)` +0.050" in sentence for sentence in findings(found, found))
    text = page(found)
    assert "[gradient(channels=largest)](methods/gradient.md)" in text
    assert text.count("methods of Sightline at their defaults and 1 again with other settings") == 1
    assert text.split("\n\n")[2].startswith("3 methods of Sightline")


def test_a_setting_with_the_words_of_the_default_would_tell_nothing() -> None:
    """No variant may be the default by another text, and each must be a text that the method reads."""
    from quality.contestants import VARIANTS, own

    for text in VARIANTS:
        assert own(text).settings != own(text.partition("(")[0]).settings


def test_choosing_takes_the_best_within_what_one_pays(tmp_path: Path) -> None:
    from quality.choosing import measured as parts

    told = parts(measured(tmp_path, KNOWN))
    at_once = told["which"].splitlines()[2]
    assert at_once.index("i-gos") < at_once.index("grad-cam") < at_once.index("gradient")
    assert told["doubt"].startswith("Grad-CAM itself has 0.3")


def test_photographs_once_chosen_are_not_chosen_again(tmp_path: Path) -> None:
    from quality.measure import chosen
    from quality.photographs import Photograph
    from quality.store import Scene, Store

    store = Store(tmp_path / "rows.jsonl")
    for name in ("c.jpg", "a.jpg"):
        store.add(Scene(picture=name, share=0.1))
    given = [Photograph(Path(name), 0, (0.0, 0.0, 9.0, 9.0)) for name in ("a.jpg", "b.jpg", "c.jpg")]
    never: Any = None  # no network is asked
    assert [one.path.name for one in chosen(store, never, given, 2)] == ["c.jpg", "a.jpg"]
