"""The command as people run it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.cli.main import main
from sightline.reports.manifest import read_manifest

FACTORY = """
import torch
print("printed by somebody else on import")
def make():
    print("printed by somebody else")
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 4))
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explain(*words: str) -> int:
    return main(["explain", *words])


def test_help_models_and_show_never_import_torch(place: Path) -> None:
    code = (
        "import sys\n"
        "from sightline.cli.main import main\n"
        "for words in (['--help'], ['explain', '--help'], ['models'], ['show', 'no'], ['explain', 'no.jpg']):\n"
        "    try: main(words)\n"
        "    except SystemExit: pass\n"
        "    heavy = {'torch', 'matplotlib', 'torchvision', 'transformers'} & set(sys.modules)\n"
        "    assert not heavy, (words, heavy)\n"
        "    if '--help' in words: assert 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_whole_road(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two pictures × two targets × three methods, with metrics that need a mask and metrics that ask the network."""
    assert explain(
        "demo:dog-and-cat", "demo:owl", "--method", "occlusion(window=64, stride=64)", "--method", "gradient",
        "--method", "grad-cam", "--target", "top2", "--metric", "deletion(steps=4)", "--metric", "pointing-game",
        "--out", "run",
    ) == 0  # fmt: skip
    out, err = capsys.readouterr()
    assert "report: run/report.html" in out
    assert err.count("\n") == 2  # a line a picture
    manifest = read_manifest("run")
    assert [record["picture"] for record in manifest.records] == ["demo:dog-and-cat"] * 6 + ["demo:owl"] * 6
    assert [record["method"]["name"] for record in manifest.records[:3]] == ["occlusion", "gradient", "grad-cam"]
    assert manifest.totals["records"] == 12
    assert {file.relative_to("run").as_posix() for file in Path("run").rglob("*") if file.is_file()} == manifest.files
    for record in manifest.records:
        values = np.load(Path("run") / record["files"]["map"])
        assert values.dtype == np.float32
        assert values.shape == (128, 128)
        with Image.open(Path("run") / record["files"]["overlay"]) as overlay:
            assert overlay.size == tuple(reversed(record["size"]))
        assert [found["metric"]["spec"] for found in record["metrics"]] == ["deletion(steps=4)", "pointing-game"]
        assert set(record["target"]) == {"index", "label", "score", "probability"}
    page = Path("run/report.html").read_text("utf-8")
    assert page.count("<article") == 2
    assert page.count('class="card"') == 12


def test_json_is_the_records_and_nothing_else(place: Path) -> None:
    (place / "factory.py").write_text(FACTORY)
    Image.new("RGB", (20, 30), "red").save("red.png")
    done = subprocess.run(
        [sys.executable, "-m", "sightline", "explain", "red.png", "--model", "factory.py:make", "--json",
         "--method", "gradient"],
        capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    records = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert records == read_manifest("sightline-out").records
    assert "printed by somebody else" in done.stderr


def test_a_picture_that_fails_does_not_stop_the_others(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (20, 30), "red").save("a.png")
    (place / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    Image.new("RGB", (50, 30), "blue").save("c.png")
    assert explain("a.png", "b.jpg", "c.png", "--json") == 3
    out, err = capsys.readouterr()
    assert [record["path"] for record in json.loads(out)] == ["a.png", "c.png"]
    (failure,) = read_manifest("sightline-out").failures
    assert (failure["picture"], failure["path"]) == ("b.jpg", "b.jpg")
    assert failure["reason"] in err
    assert "could not be explained" in Path("sightline-out/report.html").read_text("utf-8")
    assert main(["show", "sightline-out"]) == 0
    assert "failed: b.jpg" in capsys.readouterr().out


def test_a_run_in_which_every_picture_fails_still_tells(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "b.jpg").write_bytes(b"")
    assert explain("b.jpg", "--quiet") == 3
    assert read_manifest("sightline-out").failures[0]["kind"] == "empty"
    assert "could not be explained" in Path("sightline-out/report.html").read_text("utf-8")


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="the system allows only names that are text")
def test_pictures_of_any_name(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place / "pictures"
    folder.mkdir()
    names = [b'"><img src=x onerror=alert(1)>.png', b"new\nline.png", b"\xff\xfe.png", b"-dash.png", b"a'b.png",
             "\u202egpj.png".encode(), b"x" * 250 + b".png"]  # fmt: skip
    for number, name in enumerate(names):
        Image.new("RGB", (8 + number, 8), "red").save(folder / "plain.png")
        os.rename(folder / "plain.png", os.fsencode(folder) + b"/" + name)
    assert explain("pictures", "--out", "run", "--method", "gradient") == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err
    found = {os.fsencode(Path(record["path"]).name) for record in read_manifest("run").records}
    assert found == set(names)
    assert len({record["files"]["map"] for record in read_manifest("run").records}) == len(names)
    assert all(len(file.name) < 160 for file in Path("run").rglob("*"))


def test_same_picture_twice_and_pictures_after_options(place: Path) -> None:
    Image.new("RGB", (20, 30), "red").save("a.png")
    assert explain("a.png", "--method", "gradient", "a.png", "--quiet") == 0
    records = read_manifest("sightline-out").records
    assert len({record["files"]["map"] for record in records}) == 2


def test_an_error_after_the_work_began_leaves_the_earlier_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (20, 30), "red").save("a.png")
    assert explain("a.png", "--quiet") == 0
    before = Path("sightline-out/manifest.json").read_bytes()
    monkeypatch.setattr("sightline.runs.run.report_html", lambda *_: 1 / 0)
    assert explain("a.png", "--quiet") == 1
    assert Path("sightline-out/manifest.json").read_bytes() == before
    assert sorted(one.name for one in place.iterdir()) == ["a.png", "sightline-out"]


def test_figures(place: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ("demo:dog", "--method", "occlusion(window=64, stride=64)", "--quiet")
    assert explain(*words, "--figure", "grid.png", "--colors", "jet", "--alpha", "0.5", "--rows", "1") == 0
    assert explain(*words, "--figure", "occluded.pdf", "--figure-kind", "occluded") == 0
    assert explain(*words, "--figure", "sightline-out/inside.svg", "--figure-kind", "panels") == 0
    assert Path("grid.png").read_bytes().startswith(b"\x89PNG")
    assert Path("occluded.pdf").read_bytes().startswith(b"%PDF")
    assert "inside.svg" in read_manifest("sightline-out").others
    assert explain(*words) == 0  # a run with a figure inside is replaced like any other


@pytest.mark.parametrize(
    "words",
    [
        ["demo:dog", "demo:cat", "--figure-kind", "panels"],
        ["demo:dog", "--target", "top3", "--figure-kind", "panels"],
        ["demo:dog", "--method", "cam", "--method", "gradient", "--figure-kind", "panels"],
        ["demo:dog", "demo:cat", "--method", "occlusion", "--figure-kind", "occluded"],
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused_before_the_work(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("sightline.runs.run.run", lambda *_: pytest.fail("the work began"))
    assert explain(*words, "--figure", "one.png", "--quiet") == 2
    assert "draws one result, and there would be" in capsys.readouterr().err
    assert not list(place.iterdir())


def test_a_figure_of_a_long_run_says_which_pictures_it_shows(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    for module in ("sightline.reports.report", "sightline.runs.run"):
        monkeypatch.setattr(f"{module}.MOST_PICTURES", 1)
    words = ("--method", "cam", "--figure", "grid.png", "--quiet")
    assert explain("demo:dog", "demo:cat", *words) == 0
    assert "the figure shows the first 1 of 2 pictures" in capsys.readouterr().err
    assert explain("demo:dog", *words) == 0
    assert "the figure shows" not in capsys.readouterr().err


def test_lists_are_the_same_in_words_and_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("methods", "metrics", "models"):
        assert main([name, "--json"]) == 0
        entries = json.loads(capsys.readouterr().out)
        assert main([name]) == 0
        text = capsys.readouterr().out
        assert all(entry["name"] in text for entry in entries)
    assert main(["methods", "grad-cam"]) == 0
    assert "layer" in capsys.readouterr().out


def test_a_reader_that_leaves_early_sees_no_trace() -> None:
    line = f"{sys.executable} -m sightline models --json | head -c 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "["
    assert done.stderr == ""
