"""Rows B1, B6, B7, B11 and I9: no picture of a command is lost in silence, and none that is broken stops the others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.cli.main import main
from sightline.errors import UsageError
from sightline.images.load import load, upright_size
from sightline.reports.manifest import read_manifest
from sightline.runs.pictures import given_pictures


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photograph(path: Path, size: tuple[int, int] = (40, 30), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path, **options)
    return path


@pytest.fixture
def awkward(place: Path) -> Path:
    """A folder with a picture, a link to nowhere, a link to itself, a pipe, and a folder called like a picture."""
    photograph(place / "some" / "good.png")
    (place / "some" / "nowhere.jpg").symlink_to("nothing")
    (place / "some" / "self.jpg").symlink_to("self.jpg")
    os.mkfifo(place / "some" / "pipe.jpg")
    (place / "some" / "folder.jpg").mkdir()
    return place / "some"


def test_b11_what_cannot_be_opened_is_told_and_not_dropped(awkward: Path) -> None:
    assert [Path(one.path).name for one in given_pictures(["some"])] == [
        "good.png", "nowhere.jpg", "pipe.jpg", "self.jpg",
    ]  # fmt: skip
    assert main(["explain", "some", "--method", "gradient", "--out", "run"]) == 3
    manifest = read_manifest("run")
    assert [Path(one["path"]).name for one in manifest.records] == ["good.png"]
    assert {one["picture"] for one in manifest.failures} == {"nowhere.jpg", "pipe.jpg", "self.jpg"}


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("some/nowhere.jpg", "is a link that leads to no file"),
        ("some/self.jpg", "is a link that leads to no file"),
        ("x" * 300 + ".jpg", "no picture file"),
        ("~nobody-of-this-name/x.jpg", "no picture file"),
        ("deep", "folders in it, such as deep/er, are not searched: name them"),
    ],
)
def test_b11_a_word_that_leads_nowhere(word: str, says: str, awkward: Path) -> None:
    photograph(Path("deep/er/good.png"))
    with pytest.raises(UsageError, match=says):
        given_pictures([word])


def test_b7_names_that_look_like_something_else(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph(place / "~x.png")
    photograph(place / "-x.png")
    assert [one.path for one in given_pictures(["~x.png"])] == ["~x.png"]
    assert main(["explain", "-x.png"]) == 2
    assert "if the file is meant, write ./-x.png" in capsys.readouterr().err
    assert [one.path for one in given_pictures(["./-x.png"])] == ["./-x.png"]


def test_b6_pictures_of_one_name_keep_their_paths_and_files(place: Path) -> None:
    words = [str(photograph(place / name / "x.png", (40, 30 + number))) for number, name in enumerate("ab")]
    photograph(place / "c" / "X.png")
    assert main(["explain", *words, "c/X.png", "--method", "gradient", "--out", "run"]) == 0
    records = read_manifest("run").records
    assert [one["path"] for one in records] == [*words, "c/X.png"]
    files = [name.casefold() for one in records for name in one["files"].values()]
    assert len(set(files)) == len(files)


@pytest.fixture
def mixed(place: Path) -> Path:
    """Three pictures, one file that is none, one that is cut off, and one that would be enormous."""
    for number in range(3):
        photograph(place / "mixed" / f"good{number}.png", (128, 128))
    (place / "mixed" / "text.jpg").write_text("no picture")
    whole = photograph(place / "mixed" / "cut.png", (90, 90)).read_bytes()
    (place / "mixed" / "cut.png").write_bytes(whole[:-300])
    Image.new("1", (20000, 10000)).save(place / "mixed" / "bomb.png")
    return place / "mixed"


BAD = {"text.jpg", "cut.png", "bomb.png"}


def test_b1_concepts_are_learnt_from_what_can_be_read(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["concepts", "mixed", "--json", "--method", "deep-feature-factorisation(concepts=2)"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["pictures"] == ["good0.png", "good1.png", "good2.png"]
    assert {line.partition(":")[0] for line in err.splitlines()} >= BAD


def test_b1_the_doctor_looks_at_what_can_be_read(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "mixed", "--json", "--methods", "none"])
    out, err = capsys.readouterr()
    assert json.loads(out)["pictures"] == ["good0.png", "good1.png", "good2.png"]
    assert {line.partition(":")[0] for line in err.splitlines()} >= BAD


def test_b1_a_broken_photograph_among_those_with_truth(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{one.name},dog,1,1,9,9\n" for one in sorted(mixed.iterdir()))
    (mixed / "boxes.csv").write_text("file,label,x0,y0,x1,y1\n" + rows)
    words = ["--methods", "gradient", "--metrics", "pointing-game", "--quiet", "--json", "--out", "judged"]
    assert main(["evaluate", "mixed", *words]) == 3
    failures = json.loads(capsys.readouterr().out)["failures"]
    assert {Path(one["picture"]).name for one in failures} == BAD


def test_b1_none_of_the_pictures_can_be_read(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.jpg").write_text("no picture")
    assert main(["concepts", "text.jpg"]) == 2
    assert "none of the 1 pictures can be read" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_i3_the_size_by_the_header_is_that_of_the_upright_picture(form: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    file = photograph(tmp_path / f"x.{form.lower()}", (40, 30), format=form, exif=exif)
    assert upright_size(file) == load(file).size == ((30, 40) if orientation < 5 else (40, 30))


def test_i9_no_size_where_the_header_is_refused(mixed: Path) -> None:
    assert upright_size(mixed / "bomb.png") is None
    assert upright_size(mixed / "text.jpg") is None
    assert upright_size(mixed / "nothing.jpg") is None
    assert upright_size(mixed) is None


def test_i5_regions_of_a_sixteen_bit_picture_are_all_told_apart(tmp_path: Path) -> None:
    from sightline.images.segments import FromFile

    numbers = np.arange(600, dtype=np.uint16).reshape(20, 30)
    Image.fromarray(numbers).save(tmp_path / "regions.png")
    found = FromFile(path=str(tmp_path / "regions.png")).cut(np.zeros((20, 30, 3)))
    assert len(np.unique(found)) == 600


def test_b1_the_report_says_how_many_pictures_it_leaves_out() -> None:
    from sightline.reports.report import Told, report_html

    totals = {"pictures": 100, "records": 98, "failures": 2, "passes": {"forward": 1, "backward": 1}, "seconds": 1.0}
    failures = [{"picture": f"{number}.jpg", "path": "", "kind": "format", "reason": "no"} for number in range(2)]
    page = report_html([], Told(totals=totals, failures=failures))
    assert "98 more pictures were explained and are not drawn here" in page
    assert "in 98 pictures" in page
