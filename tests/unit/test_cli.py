"""The words of the command: every wrong one is answered by one line that helps, before anything heavy begins."""

from __future__ import annotations

import importlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.attribution.table import METHODS
from sightline.cli import main as command
from sightline.cli.main import main
from sightline.cli.tables import table
from sightline.errors import CancelledError, UsageError
from sightline.evaluation.table import METRICS
from sightline.runs.pictures import given_pictures, with_masks
from sightline.spec import Catalogue

FACTORY = """
import torch
def make():
    print("a word of the factory")
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 4))
def forward_only():
    return lambda pixels: pixels.mean((2, 3))
"""

WRONG = [
    ("explian x.jpg", "unknown command 'explian': did you mean 'explain'?"),
    ("good.png", "did you mean `sightline explain good.png`?"),
    ("demo:dog", "did you mean `sightline explain demo:dog`?"),
    ("--verson", "unknown option '--verson': did you mean --version?"),
    ("explain", "no picture was given"),
    ("explain ''", "a picture without a name was given"),
    ("explain nothing.jpg", "no picture file 'nothing.jpg'"),
    ("explain no/where.jpg", "there is no folder 'no'"),
    ("explain good.pgn", "did you mean 'good.png'?"),
    ("explain empty", "the folder empty holds no picture"),
    ("explain demo:dgo", "unknown built-in picture 'dgo': did you mean 'dog'?"),
    ("explain https://a.b/c.jpg", "is an address: download the picture first"),
    ("explain good.png --metod grad-cam", "unknown option '--metod': did you mean --method?"),
    ("explain good.png --method", "--method: expected one argument"),
    ("explain good.png --method grad-cm", "unknown method 'grad-cm': did you mean 'grad-cam'"),
    ("explain good.png --method occlusion(widow=3)", "unknown field of occlusion 'widow': did you mean 'window'?"),
    ("explain good.png --method occlusion(window=0)", "window must be at least 1"),
    ("explain good.png --method occlusion(fill=gry)", "unknown fill 'gry': did you mean 'grey'"),
    ("explain good.png --method cam,,gradient", "a name is missing in 'cam,,gradient'"),
    ("explain good.png --method occlusion(", "cannot read 'occlusion('"),
    ("explain good.png --target dgo", "no class 'dgo': did you mean 'dog'"),
    ("explain good.png --target 10", "class index 10 is out of range"),
    ("explain good.png --target top99", "this network has 10 classes"),
    ("explain good.png --target dog-vs-dog", "a contrast needs two classes"),
    ("explain good.png --model dmo", "unknown network 'dmo': did you mean 'demo'"),
    ("explain good.png --model factory.py:mak", "did you mean 'make'?"),
    ("explain good.png --model factory.py:forward_only --method grad-cam", "forward-only"),
    ("explain good.png --weights none.pt", "no weights file 'none.pt'"),
    ("explain good.png --weights notes.txt", "notes.txt"),
    ("explain good.png --layer nowhere", "no layer 'nowhere'"),
    ("explain good.png --layer body --method occlusion", "looks at no layer"),
    ("explain good.png --metric deletio", "unknown metric 'deletio': did you mean 'deletion'?"),
    ("explain good.png --metric deletion(stps=4)", "unknown field of deletion 'stps': did you mean 'steps'?"),
    ("explain good.png --metric pointing-game", "give --mask FILE"),
    ("explain good.png --juge", "unknown option '--juge': did you mean --judge?"),
    ("explain good.png --boxes otzu", "unknown threshold 'otzu': did you mean 'otsu'?"),
    ("explain good.png --boxes fixed(share=2)", "share must be from 0 to 1"),
    ("explain good.png --mask good.png", "--mask is for metrics that need one"),
    ("explain good.png --mask notes.txt --metric pointing-game", "the mask notes.txt is not a picture"),
    ("explain good.png --mask small.png --metric pointing-game", "the mask small.png is 5 × 4 pixels"),
    ("explain good.png --mask good.png --mask good.png --metric pointing-game", "2 masks for 1 pictures"),
    ("explain good.png --precision fst", "unknown --precision 'fst': did you mean 'fast'?"),
    ("explain good.png --device gpu", "no device 'gpu' here"),
    ("explain good.png --seed x", "--seed: a whole number from 0 on was expected, and 'x' came"),
    ("explain good.png --alpha 2", "--alpha: a number from 0 to 1 was expected, and '2' came"),
    ("explain good.png --percentile 0", "the percentile lies above 0"),
    ("explain good.png --colors virdis", "unknown colour map 'virdis': did you mean 'viridis'"),
    ("explain good.png --rows 2", "--rows is for a figure: add --figure FILE"),
    ("explain good.png --figure ./good.png", "would overwrite a picture that is explained"),
    ("explain . --figure good.png", "would overwrite a picture that is explained"),
    ("concepts . --figure good.png", "would overwrite a picture that is explained"),
    ("explain good.png --figure f.bmp", "unknown format 'bmp'"),
    ("explain good.png --figure no/f.png", "there is no folder no"),
    ("explain good.png --figure f.png --figure-kind occluded", "add --method occlusion"),
    ("explain good.png --head sofmax", "unknown head 'sofmax': did you mean 'softmax'?"),
    ("explain good.png --temperature 0", "--temperature: a number above 0 was expected, and '0' came"),
    ("explain good.png --head probabilities --temperature 2", "a temperature divides logits"),
    ("explain good.png --output logits", "no output 'logits'"),
    ("explain good.png --labels none.txt", "no labels file 'none.txt'"),
    ("explain good.png --out full", "is not empty and holds no earlier run"),
    ("explain good.png --out notes.txt", "is a file: give a folder"),
    ("explain good.png --out .", "is the folder you are in"),
    ("explain good.png --out notes.txt/sub", "cannot write to"),
    ("methods grad-cm", "unknown method 'grad-cm': did you mean 'grad-cam'"),
    ("methods --jsn", "unknown option '--jsn': did you mean --json?"),
    ("metrics delete", "unknown metric 'delete': did you mean 'deletion'?"),
    ("models extra", "'extra' was not expected"),
    ("show", "the following arguments are required: DIR"),
    ("show nowhere", "no folder nowhere"),
    ("show full", "holds no run of Sightline"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a few files."""
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "full"):
        (tmp_path / folder).mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep me")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "factory.py").write_text(FACTORY)
    Image.new("RGB", (60, 40), "orange").save(tmp_path / "good.png")
    Image.new("RGB", (5, 4), "white").save(tmp_path / "small.png")
    return tmp_path


def words(line: str) -> list[str]:
    return [word.strip("'") for word in line.split(" ")]


@pytest.mark.parametrize(("line", "answer"), WRONG)
def test_a_wrong_command_is_answered_in_one_line(
    line: str, answer: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(one.name for one in place.rglob("*") if one.suffix != ".pyc" and one.name != "__pycache__")
    assert main(words(line)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert answer in err
    assert err.startswith("sightline: ")
    assert err.count("\n") == 1
    after = sorted(one.name for one in place.rglob("*") if one.suffix != ".pyc" and one.name != "__pycache__")
    assert after == before


def test_a_defect_of_ours_is_told_in_one_line_and_traced_on_demand(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = importlib.import_module("sightline.cli.models")

    def broken(arguments: object) -> int:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(models, "run", broken)
    assert main(["models"]) == 1
    err = capsys.readouterr().err
    told = "this is a defect of Sightline: RuntimeError: first line second line (run with --debug for the trace)"
    assert err == f"sightline: {told}\n"
    assert main(["models", "--debug"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [(KeyboardInterrupt(), 130, "stopped"), (CancelledError("cancelled after 3"), 130, "cancelled after 3")],
)
def test_stopping_is_no_defect(
    error: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = importlib.import_module("sightline.cli.models")

    def stopped(arguments: object) -> int:
        raise error

    monkeypatch.setattr(models, "run", stopped)
    assert main(["models"]) == code
    assert capsys.readouterr().err == f"sightline: {told}\n"


def test_every_command_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(f"    {name}" in text for name in command.COMMANDS)
    for name in command.COMMANDS:
        with pytest.raises(SystemExit) as left:
            main([name, "--help"])
        assert left.value.code == 0
        assert "--debug" in capsys.readouterr().out


def test_a_folder_gives_its_pictures_in_order(place: Path) -> None:
    assert [Path(one.path).name for one in given_pictures(["."])] == ["good.png", "small.png"]
    with pytest.raises(UsageError, match="holds no picture"):
        given_pictures(["empty"])


def test_pictures_of_a_folder_that_nobody_reads_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("telephone.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(200))
    Path("notes.txt").write_text("no picture")
    assert [Path(one.path).name for one in given_pictures(["."])] == ["good.png", "small.png", "telephone.HEIC"]
    assert main(["explain", ".", "--method", "cam", "--out", "run", "--quiet"]) == 3
    assert "telephone.HEIC: is not a picture in a known format (JPEG, " in capsys.readouterr().err


def test_a_built_in_picture_brings_its_mask() -> None:
    (one,) = given_pictures(["demo:dog"])
    assert one.source.name == "demo:dog"
    assert one.mask.shape == one.source.size
    assert 0 < one.mask.mean() < 1


def test_one_mask_serves_all_or_one_each(place: Path) -> None:
    pictures = given_pictures(["good.png", "good.png"])
    assert all(one.mask.name == "good.png" for one in with_masks(pictures, ["good.png"]))
    assert [one.mask for one in with_masks(pictures, [])] == [None, None]


def test_a_mask_that_shows_no_object_is_refused_before_the_work(place: Path) -> None:
    pictures = given_pictures(["good.png", "good.png"])
    size = Image.open("good.png").size
    Image.new("L", size).save("dark.png")
    Image.new("L", size, 255).save("white.png")
    assert len(with_masks(pictures, ["white.png", "white.png"])) == 2
    with pytest.raises(UsageError, match=r"dark\.png"):
        with_masks(pictures, ["white.png", "dark.png"])


def test_names_are_not_broken_at_their_hyphens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert "white-dog.jpg" in table(["name", "found in"], [["concept 12", "a-b.jpg, white-dog.jpg"]])


def test_tables_wrap_their_last_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    text = table(["name", "words"], [["a", "one two three four five six seven"], ["b\x1b[31m", "x"]])
    assert max(map(len, text.split("\n"))) <= 30
    assert "\x1b" not in text
    assert text.split("\n")[0].split() == ["name", "words"]


def test_nobody_listening_is_no_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    assert main(["models"]) == 141


@pytest.mark.parametrize(("kind", "catalogue"), [("method", METHODS), ("metric", METRICS)])
def test_a_page_is_found_by_every_name_and_its_example_works(
    kind: str, catalogue: Catalogue[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in catalogue:
        for word in (name, *catalogue[name].aliases):
            assert main([f"{kind}s", word]) == 0
            told = capsys.readouterr().out
            assert told.startswith(f"{name}: ")
        example = re.search(rf'^as in --{kind} "(.*)"$', told, flags=re.MULTILINE)
        assert example is not None or "It has no fields" in told
        assert example is None or catalogue.make(example[1]).name == name


def test_methods_and_metrics_are_named_together_or_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    methods = ["--method", "cam, occlusion(window=64, stride=64)", "--method", "gradient"]
    metrics = ["--metric", "gini,deletion(steps=2, base=grey)"]
    assert main(["explain", "demo:dog", *methods, *metrics, "--out", "run", "--quiet"]) == 0
    records = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))["records"]
    assert [one["method"]["spec"] for one in records] == ["cam", "occlusion(window=64, stride=64)", "gradient"]
    assert [one["metric"]["spec"] for one in records[0]["metrics"]] == ["gini", "deletion(steps=2, base=grey)"]
