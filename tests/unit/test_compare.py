"""`compare` and its command: what is compared, what fails alone, and what is said of it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sightline
from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.cli.main import main
from sightline.cli.parser import listed
from sightline.demo.scenes import PICTURES, render
from sightline.errors import NonFiniteError, SpecError, UsageError
from sightline.evaluation.base import Curve
from sightline.evaluation.baselines import BASELINES, centre, moved, noise, patches
from sightline.evaluation.comparison import Comparison
from sightline.evaluation.standing import Contender
from sightline.evaluation.table import METRICS
from sightline.pictures.scatter import BOTTOM, LINE, Point, scatter_svg
from sightline.reports.compared import MOST_COLUMNS, About, Strip, Thumb, comparison_html
from sightline.reports.manifest import read_manifest

SCENES = [render(PICTURES[name]) for name in ("dog", "cat", "owl")]
IMAGES = [scene.image for scene in SCENES]
FEW = ["deletion(steps=4)"]


def brittle(error: Exception) -> Method:
    """A method that breaks on the second picture it is shown, in the way that is asked for."""
    seen = []

    class Brittle(Method):
        traits = Traits(family="test", needs=Needs.SCORES, cost="1 F", paper="")

        def attribute(self, passes: Any, pixels: torch.Tensor, target: Any) -> Maps:
            seen.append(1)
            if len(seen) == 2:
                raise error
            return Maps(values=pixels.mean(1, keepdim=True))

    return Brittle()


def test_methods_and_baselines_are_judged_on_every_picture() -> None:
    masks = [scene.masks["object"] for scene in SCENES]
    found = sightline.compare("demo", IMAGES, ["grad-cam", "gradient"], [*FEW, "pointing-game"], mask=masks)
    assert {row.name for row in found.rows} == {"grad-cam", "gradient", *BASELINES}
    assert [str(metric) for metric in found.judged] == ["deletion(steps=4)", "pointing-game"]
    assert all(len(row) == 3 for rows in found.values.values() for row in rows.values())
    each = sightline.evaluate("demo", sightline.explain("demo", IMAGES, ["grad-cam"]), FEW)
    assert found.values["deletion(steps=4)"]["grad-cam"] == pytest.approx([one.value for one in each])
    assert (found.row("grad-cam").forward, found.row("grad-cam").backward) == (1, 1)
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert len(rows) == 5 * 2 * 3
    assert json.loads(json.dumps(found.record(), allow_nan=False))["words"] == found.words()
    assert "3 pictures cannot tell any two of 5 rows apart" in found.table()
    assert "<table>" in found._repr_html_()


def test_what_a_method_costs_does_not_depend_on_who_came_before() -> None:
    alone = sightline.compare("demo", IMAGES[:1], ["gradient"], FEW).row("gradient")
    after = sightline.compare("demo", IMAGES[:1], ["input-times-gradient", "gradient"], FEW).row("gradient")
    assert (alone.forward, alone.backward) == (after.forward, after.backward) == (1, 1)


def test_one_picture_claims_nothing() -> None:
    found = sightline.compare("demo", IMAGES[0], ["grad-cam", "gradient"], FEW)
    one = found.standings("deletion(steps=4)")["gradient"]
    assert one.interval.low is None
    assert one.to_best is None or one.to_best.verdict == "one picture"
    assert "no interval is claimed" in found.words()[0]
    assert "≈" not in found.table()


def test_all_is_every_method_that_the_network_supports_and_the_others_say_why() -> None:
    from sightline.attribution.table import METHODS

    found = sightline.compare(
        lambda pixels: torch.stack([pixels.mean((1, 2, 3)), pixels.amax((1, 2, 3))], 1),
        Image.new("RGB", (16, 16), "red"), "all", FEW, budget=60,
    )  # fmt: skip
    told = {row.name for row in found.rows if row.kind == "method"} | {
        name.partition(" / ")[0] for name in found.refused
    }
    assert told == set(METHODS)
    assert "forward-only" in found.refused["grad-cam"]
    assert "the budget is 60" in found.refused["rise"]


@pytest.mark.parametrize(
    ("error", "kind"), [(NonFiniteError("NaN here"), "NonFiniteError"), (ZeroDivisionError("oh"), "defect")]
)
def test_one_failure_stops_nothing(error: Exception, kind: str) -> None:
    found = sightline.compare("demo", IMAGES, [brittle(error), "gradient"], FEW)
    (failure,) = found.failures
    assert (failure["method"], failure["kind"]) == ("brittle", kind)
    values = found.values["deletion(steps=4)"]
    assert [value is None for value in values["brittle"]] == [False, True, False]
    assert None not in values["gradient"]
    assert found.standings("deletion(steps=4)")["brittle"].interval.n == 2
    assert "(n 2)" in found.table()


def test_a_picture_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    found = sightline.compare("demo", [IMAGES[0], tmp_path / "cut.jpg", IMAGES[1]], ["gradient"], FEW)
    assert found.places == (0, 2)
    assert found.failures[0]["method"] == ""


def test_a_defect_of_everything_is_raised() -> None:
    with pytest.raises(FileNotFoundError):
        sightline.compare(lambda pixels: Path("nowhere").read_bytes(), Image.new("RGB", (8, 8)), ["occlusion"], FEW)


def test_maps_of_another_tool_get_the_values_of_the_same_map() -> None:
    own = sightline.explain("demo", IMAGES, ["grad-cam"])
    found = sightline.compare("demo", IMAGES, ["grad-cam"], FEW, maps={"theirs": [one.map for one in own]})
    values = found.values["deletion(steps=4)"]
    assert values["theirs"] == pytest.approx(values["grad-cam"])
    assert found.row("theirs").kind == "maps"
    with pytest.raises(UsageError, match="1 maps of theirs for 3 pictures"):
        sightline.compare("demo", IMAGES, ["grad-cam"], FEW, maps={"theirs": [own[0].map]})
    for taken in ("grad-cam", "random"):
        with pytest.raises(UsageError, match=f"maps are named '{taken}', as something else"):
            sightline.compare("demo", IMAGES[:1], ["grad-cam"], FEW, maps={taken: [own[0].map]})


@pytest.mark.parametrize(
    ("map", "said"),
    [
        (np.zeros((40, 30)), "a map of 40 × 30 came"),
        (np.zeros((96, 64)), "it would fit when it is transposed"),
        (np.zeros((64, 96, 3)), "sum over the channels"),
        (np.full((64, 96), np.nan), "NaN or infinity"),
    ],
)
def test_a_map_of_another_tool_that_does_not_fit_is_told_in_a_line(
    place: Path, capsys: pytest.CaptureFixture[str], map: np.ndarray, said: str
) -> None:
    """.npy in, value out; and what is wrong with one map does not touch the others."""
    Path("theirs").mkdir()
    for name, values in (("good", np.random.default_rng(0).random((64, 96))), ("bad", map)):
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 96, 3), np.uint8)).save(f"{name}.png")
        np.save(f"theirs/{name}.npy", values)
    words = ["compare", "good.png", "bad.png", "--maps", "theirs", "--metrics", "deletion(steps=4),gini", "--json"]
    assert main(words) == 3
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if "bad.png" in line and "theirs" in line]
    assert said in line
    assert "Traceback" not in err
    for metric in json.loads(out)["metrics"]:
        good, bad = metric["values"]["theirs"]
        assert bad is None
        assert good is not None


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(UsageError, match="give its mask"):
        sightline.compare("demo", IMAGES, ["gradient"], ["pointing-game"])
    with pytest.raises(UsageError, match="no picture"):
        sightline.compare("demo", [], ["gradient"], FEW)
    with pytest.raises(UsageError, match="means several"):
        sightline.compare("demo", IMAGES, ["gradient"], FEW, target="top2")
    with pytest.raises(UsageError, match="2 targets for 3"):
        sightline.compare("demo", IMAGES, ["gradient"], FEW, target=["dog", "cat"])


def test_baselines() -> None:
    assert np.array_equal(noise(9, 7, 3), noise(9, 7, 3))
    assert not np.array_equal(noise(9, 7, 3), noise(9, 7, 4))
    coarse = patches(70, 70, 0)
    assert np.abs(np.diff(coarse, axis=0)).max() < np.abs(np.diff(noise(70, 70, 0), axis=0)).max() / 3
    middle = centre(9, 7)
    assert np.unravel_index(middle.argmax(), middle.shape) == (4, 3)
    copy = moved(coarse, 5)
    assert np.array_equal(np.sort(copy, axis=None), np.sort(coarse, axis=None))
    assert not np.array_equal(copy, coarse)


def made(values: dict[str, list[float]]) -> Comparison:
    """A comparison of known values by deletion; lower is better."""
    kinds = {"random": "baseline"}
    count = len(next(iter(values.values())))
    return Comparison(
        model="m", pictures=tuple(f"p{n}" for n in range(count)), targets=("dog",) * count,
        rows=tuple(Contender(name=name, kind=kinds.get(name, "method"), forward=place + 1)
                   for place, name in enumerate(values)),
        metrics=(METRICS.make("deletion"),), values={"deletion": {name: tuple(row) for name, row in values.items()}},
        places=tuple(range(count)),
    )  # fmt: skip


def test_what_is_said_of_known_values() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(20)
    found = made({
        "good": list(base), "same": list(base + 0.001 * rng.normal(size=20)), "bad": list(base + 0.4),
        "random": list(base + 0.3 + 0.01 * rng.random(20)),
    })  # fmt: skip
    (about, sentence) = found.words()
    assert about.startswith("20 pictures")
    leader, other = (found.best("deletion"), "same" if found.best("deletion") == "good" else "good")
    assert f"{leader} leads" in sentence
    assert f"the differences are noise: {other};" in sentence
    assert "not shown to be better than random, which knows nothing of the network: bad" in sentence
    assert [row.name for row in found.order][-1] == "bad"
    assert found.standings("deletion")["bad"].to_best.verdict == "worse"  # type: ignore[union-attr]
    assert not found.standings("deletion")["random"].front
    half = found.subset([place < 8 for place in range(20)], "the first")
    assert (len(half.pictures), half.only) == (8, "the first")
    assert "8 pictures (the first)" in half.words()[0]


def test_the_page_escapes_every_name_and_loads_nothing() -> None:
    nasty = "</script><script>alert(1)</script>"
    found = made({nasty: [0.1, 0.2], "random": [0.3, 0.4]})
    strip = Strip(nasty, nasty, "data:,", {nasty: Thumb("data:,", ((nasty, "1"),))})
    page = comparison_html([found], [strip], About(command=("compare", nasty), notes=(nasty,)))
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in page


def test_lists_of_words() -> None:
    assert listed(None, ["a"]) == ["a"]
    assert listed(["grad-cam, occlusion(window=4,stride=2)", "x(of=y(a=1,b=2))"], []) == [
        "grad-cam", "occlusion(window=4,stride=2)", "x(of=y(a=1,b=2))",
    ]  # fmt: skip
    with pytest.raises(SpecError, match="a name is missing"):
        listed(["a,,b"], [])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_a_folder_that_can_be_shown_and_replaced(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "demo:dog", "demo:cat", "--methods", "grad-cam,gradient", "--metrics", "deletion(steps=4)"]
    assert main([*words, "--out", "run"]) == 0
    out, err = capsys.readouterr()
    assert "report: run/report.html" in out
    assert "Pictures: 2, about" in err
    assert len(read_manifest("run").records) == 4
    assert {file.name for file in Path("run").iterdir()} == {
        "report.html", "manifest.json", "comparison.json", "values.csv", "maps",
    }  # fmt: skip
    assert main(["show", "run"]) == 0
    assert main([*words, "--out", "run", "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out[out.index("{") :])["rows"][0]["name"] == "grad-cam"
    assert main([*words, "--plan"]) == 0
    assert "method, for one picture" in capsys.readouterr().out


def test_all_metrics_are_those_that_the_truth_allows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(render(PICTURES["dog"]).image).save("dog.png")
    words = ["--methods", "gradient", "--metrics", "all,deletion(steps=4)", "--plan"]
    assert main(["compare", "dog.png", *words]) == 0
    out, err = capsys.readouterr()
    assert "left out, as nobody said where the object is: pointing-game, relevance-mass" in err
    assert "deletion(steps=4) " in out
    assert "; deletion " not in out  # named once
    assert "; road " in out
    assert "; iou " not in out
    assert main(["compare", "demo:dog", *words]) == 0  # its mask is known
    out, err = capsys.readouterr()
    assert "left out" not in err
    assert "; iou " in out


def test_a_picture_that_came_twice_is_told() -> None:
    scenes = [render(PICTURES[name]).image for name in ("dog", "cat", "dog")]
    found = sightline.compare("demo", scenes, "gradient", "gini")
    assert "one picture was judged before" in found.cautions[0]
    assert not any("judged before" in one for one in sightline.compare("demo", scenes[:2], "gradient", "gini").cautions)
    other = sightline.compare("demo", scenes, "gradient", "gini", target=["dog", "cat", "owl"])
    assert not any("judged before" in one for one in other.cautions)  # another question about the same picture


def test_the_command_tells_failures_by_its_exit_code(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    words = ["--methods", "gradient", "--metrics", "deletion(steps=4)", "--quiet"]
    assert main(["compare", "demo:dog", "cut.jpg", *words]) == 3
    assert "cut.jpg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("compare", "no picture was given"),
        ("compare demo:dog --methods grad-cm", "did you mean 'grad-cam'"),
        ("compare demo:dog --metrics deletio", "did you mean 'deletion'"),
        ("compare demo:dog --methods grad-cam,,lrp", "a name is missing"),
        ("compare demo:dog --method gradient --metrics iou --mask no.png", "no mask file"),
        ("compare demo:dog --method gradient --target top2", "means several"),
        ("compare demo:dog --method gradient --target dgo", "did you mean 'dog'"),
        ("compare demo:dog --budget 0", "a whole number from 1 on"),
        ("compare demo:dog --modle demo", "did you mean --model?"),
        ("compare demo:dog --maps no", "there is no such folder"),
        ("compare demo:dog --maps empty", "holds no map of these pictures"),
        ("evaluate", "DATA"),
        ("evaluate nowhere", "no truth file 'nowhere'"),
        ("evaluate empty", "empty holds no truth"),
        ("evaluate empty --truth no.csv", "no truth file 'no.csv'"),
        ("evaluate empty --maps no", "there is no such folder"),
    ],
)
def test_wrong_words(place: Path, capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    Path("empty").mkdir()
    assert main(words.split()) == 2
    assert said in capsys.readouterr().err
    assert not Path("sightline-compare").exists()


def boxed_at(levels: list[tuple[float, float, float]]) -> list[Curve]:
    """Curves of overlap over the levels 0, ⅓ and ⅔."""
    return [Curve(np.arange(3) / 3, np.array(one)) for one in levels]


def test_max_box_acc_is_told_at_one_level_for_all_pictures() -> None:
    curves = boxed_at([(0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.6, 0.1)])  # no level is right for all three
    metric = METRICS.make("max-box-acc(version=v1)")
    found = Comparison(
        model="m", pictures=("a", "b", "c"), targets=("t",) * 3, rows=(Contender(name="x"),), metrics=(metric,),
        values={str(metric): {"x": (1.0, 1.0, 1.0)}}, curves={str(metric): {"x": curves}}, places=(0, 1, 2),
    )  # fmt: skip
    assert found.standings(metric)["x"].interval.mean == pytest.approx(2 / 3)
    assert found.record()["metrics"][0]["values"]["x"] == [0.0, 1.0, 1.0]
    assert "0.33 for an overlap of 0.5" in found.words()[-1]
    assert found.subset([True, False, False], "few").standings(metric)["x"].interval.mean == 1.0


def test_max_box_acc_v2_chooses_a_level_for_each_overlap() -> None:
    curves = boxed_at([(0.35, 0.75, 0.1), (0.35, 0.1, 0.55)])
    found = METRICS.make("max-box-acc").jointly(curves)
    # δ 0.3: level 0, both; 0.5: level ⅓, the first (the lowest of equals); 0.7: level ⅓, the first
    assert found.values == pytest.approx((1.0, 1 / 3))


def test_the_command_tells_max_box_acc_at_one_level() -> None:
    masks = [scene.masks["object"] for scene in SCENES]
    metric = "max-box-acc(version=v1, levels=20)"
    found = sightline.compare("demo", IMAGES, ["gradient"], [metric], mask=masks)
    curves = [one.y for one in found.curves[metric]["gradient"] if one is not None]
    assert found.standings(metric)["gradient"].interval.mean == (np.stack(curves) >= 0.5).mean(0).max()


def test_a_map_that_is_turned_round_wins_nothing_by_it() -> None:
    metric = METRICS.make("parameter-randomisation")
    values = {"turned": (-0.9, -0.9, -0.8), "independent": (0.05, -0.05, 0.1), "kept": (0.7, 0.7, 0.6)}
    found = Comparison(
        model="m", pictures=("a", "b", "c"), targets=("t",) * 3, metrics=(metric,),
        rows=tuple(Contender(name=name) for name in values), values={str(metric): values},
    )  # fmt: skip
    assert list(found.standings(metric)) == ["independent", "kept", "turned"]
    assert found.best(metric) == "independent"
    assert found.standings(metric)["turned"].interval.mean == pytest.approx(-0.8667, abs=1e-3)  # told as measured
    assert found.mean_rank("turned") == 3
    assert "nearest 0 is best" in found.words()[-1]
    assert "→0" in found.table()


@pytest.mark.parametrize("many", [False, True])
def test_the_gallery_names_every_map_side_by_side_or_on_sheets(many: bool) -> None:
    names = [f"method-{place}" for place in range(MOST_COLUMNS + 1 if many else 3)]
    found = made({name: [0.1, 0.2] for name in names})
    thumbs = {name: Thumb(f"data:{name}", (("deletion", "0.1"),)) for name in names}
    page = comparison_html([found], [Strip("a.jpg", "dog", "data:,", thumbs)], About())
    gallery = page[page.index("The maps behind the numbers") :]
    assert ('class="sheet"' in gallery) is many
    assert ('<table class="gallery">' in gallery) is (not many)
    for name in names:
        assert f'src="data:{name}"' in gallery
        assert f"<bdi>{name}</bdi>" in gallery


def test_a_metric_that_gives_every_row_the_same_value_leads_to_nobody() -> None:
    same = made({"one": [1.0, 1.0], "other": [1.0, 1.0], "random": [1.0, 1.0]})
    assert not same.tells("deletion")
    assert "every row has the same value on every picture: it tells nothing here" in same.words()[-1]
    assert "*" not in same.table().partition("* best method")[0]
    assert made({"one": [1.0, 0.5], "random": [1.0, 0.4]}).tells("deletion")
    assert not made({"one": [1.0, 0.5], "random": [1.0, 0.5]}).tells("deletion")


def test_names_beside_a_chart_cover_neither_each_other_nor_the_axis() -> None:
    points = [Point(f"method-{place}", 10.0 * (place + 1), 0.001 * place, front=True) for place in range(5)]
    drawn = scatter_svg([*points, Point("far", 1.0, 1.0)], chance=("chance", 0.002))
    heights = [float(found) for found in re.findall(r'y="([\d.]+)" font-size="11"', drawn)]
    assert len(heights) == 6
    assert min(np.diff(heights)) >= LINE - 0.1
    assert max(heights) - 4 <= 320 - BOTTOM + 0.1
