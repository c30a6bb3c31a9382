"""Reports: safe names, folders that are whole or not there, a manifest that reads back, a page that is only text."""

from __future__ import annotations

import base64
import dataclasses
import errno
import hashlib
import json
import os
import re
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.attribution.activation.grad_cam import GradCam
from sightline.attribution.perturbation.occlusion import Occlusion
from sightline.attribution.result import Attribution, Explained, Origin, Prediction
from sightline.errors import UsageError
from sightline.images.frame import Frame
from sightline.images.load import load
from sightline.pictures.style import PLAIN, Style
from sightline.reports import folder as folder_module
from sightline.reports.compose import sheets
from sightline.reports.content import Result, pictured
from sightline.reports.figure import figure, occluded_pictures
from sightline.reports.folder import OutputFolder
from sightline.reports.manifest import MANIFEST, Manifest, read_manifest
from sightline.reports.names import FileNames, plain_stem, shown
from sightline.reports.report import Told, report_html
from sightline.types import Count

NASTY = [
    '"><img src=x onerror=alert(1)>.png',
    "</script><script>document.title='pwned'</script>",
    "</style><script>document.title='pwned'</script>",
    "';background:url(http://evil.example/x)'",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egpj.exe",
    "new\nline\x1b[31m",
    "bytes\udcff",
]
TOTALS = {"pictures": 1, "records": 1, "failures": 0, "passes": {"forward": 1, "backward": 1}, "seconds": 1.0}


def attribution(name: str = "dog.jpg", label: str = "dog", strength: float = 1.0, **changes) -> Attribution:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (40, 60, 3), np.uint8)
    values = np.zeros((32, 32), np.float32)
    values[8:16, 8:16] = strength
    made = {
        "map": values,
        "picture": dataclasses.replace(load(rgb), name=name),
        "pixels": torch.zeros(1, 3, 32, 32),
        "frame": Frame((40, 60), 1, (32, 48), 0, 8, (32, 32)),
        "method": GradCam(),
        "target": Explained(1, label, 3.0, 0.9),
        "predictions": (Prediction(1, label, 0.9), Prediction(0, "cat", 0.1)),
        "passes": Count(1, 1),
        "seconds": 0.5,
        "warnings": ("the map is flat: it is zero everywhere",),
        "origin": Origin("net", "ab" * 32, {"resize": 32}, "softmax", "float32", "cpu", {"torch": "2"}),
    }
    return Attribution(**(made | changes))


def page(*results: Attribution, style: Style = PLAIN, **told) -> str:
    pictures = [pictured([Result(one)]) for one in results]
    return report_html(pictures, Told(totals=TOTALS, **told), style)


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


# ---- names -----------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=320), st.text(max_size=60)), min_size=1, max_size=8))
def test_file_names_are_plain_short_and_never_alike(names: list[tuple[str, str]]) -> None:
    maker = FileNames()
    made = [maker.of(picture, "0123abcd" * 8, target, "occlusion(window=5)") for picture, target in names + names]
    assert len({name.casefold() for name in made}) == len(made)
    for name in made:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", name)
        assert len(name) < 150


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_any_name_of_a_file_is_shown_on_one_printable_line(raw: bytes) -> None:
    text = shown(os.fsdecode(raw))
    assert text.isprintable()
    text.encode("utf-8")


def test_names_keep_what_can_be_kept() -> None:
    assert plain_stem("Schöner Hund") == "Schoner-Hund"
    assert plain_stem("../../etc/passwd") == "etc-passwd"
    assert plain_stem("日本") == "x"
    assert shown("Hund 日本 é") == "Hund 日本 é"
    assert shown("a\u202eb\n") == "a\\u202eb\\n"


def test_same_name_other_content_gives_another_file() -> None:
    maker = FileNames()
    one, other = (maker.of("x.jpg", sha, "dog", "grad-cam") for sha in ("a" * 64, "b" * 64))
    assert one != other
    assert maker.of("x.jpg", "c" * 64, "dog", "occlusion(window=5)") != maker.of(
        "x.jpg", "c" * 64, "dog", "occlusion(window=6)"
    )


# ---- folder and manifest ---------------------------------------------------------------------------------------------


def written(place: Path, mark: bytes = b"new") -> Path:
    record = attribution().record() | {"path": "dog.jpg", "files": {"map": "maps/a.npy"}, "metrics": [], "scale": {}}
    manifest = Manifest(command=("explain",), totals=TOTALS, records=[record], failures=[])
    with OutputFolder(place) as folder:
        folder.write("maps/a.npy", mark)
        folder.write("report.html", mark)
        folder.write(MANIFEST, manifest.to_bytes())
        return folder.finish()


def refusal(place: Path) -> str | None:
    """What writing a run there answers, if it is refused."""
    try:
        written(place)
    except UsageError as error:
        return str(error)
    return None


def test_manifest_reads_back_and_names_that_are_no_text_survive(tmp_path: Path) -> None:
    for name in NASTY:
        record = attribution(name).record() | {"path": name, "files": {"map": "m.npy"}, "metrics": [], "scale": {}}
        failure = {"picture": name, "path": name, "kind": "format", "reason": "no"}
        given = Manifest(command=("explain", name), totals=TOTALS, records=[record], failures=[failure])
        (tmp_path / MANIFEST).write_bytes(given.to_bytes())
        back = read_manifest(tmp_path)
        assert back.records[0]["picture"] == back.failures[0]["path"] == back.command[1] == name
        assert back.files == {"manifest.json", "report.html", "m.npy"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "was not written by Sightline"),
        ('{"schema_version": 99}', "was written as version 99"),
        ('{"schema_version": 1, "command": []}', "report must be str, and nothing came"),
    ],
)
def test_a_broken_manifest_is_refused_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(UsageError, match=words) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_replaces_an_earlier_run_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "out"
    written(place, b"old")
    written(place, b"new")
    assert (place / "report.html").read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
    (place / "my notes.txt").write_text("keep me")
    with pytest.raises(UsageError, match=r"my notes\.txt, which would be lost"):
        written(place)
    assert (place / "my notes.txt").read_text() == "keep me"
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match="holds no earlier run"):
        written(other)
    assert [one.name for one in other.iterdir()] == ["mine.txt"]


def test_what_came_into_the_folder_meanwhile_is_not_lost(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with OutputFolder(place) as folder:
        folder.write(MANIFEST, b"{}")
        place.mkdir()
        (place / "mine.txt").write_text("keep me")
        with pytest.raises(UsageError, match="holds no earlier run"):
            folder.finish()
    assert (place / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_disk_that_fails_at_any_write_leaves_the_old_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, earlier: bool
) -> None:
    place = tmp_path / "out"
    if earlier:
        written(place, b"old")
    for stop in range(100):
        calls = 0

        def failing(real, stop=stop):
            def call(*args, **kwargs):
                nonlocal calls
                calls += 1
                if calls - 1 == stop:
                    raise OSError(code, os.strerror(code))
                return real(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing(os.fsync))
            patch.setattr(Path, "rename", failing(Path.rename))
            patch.setattr(Path, "mkdir", failing(Path.mkdir))
            told = refusal(place)
        if told is None:
            break
        assert "\n" not in told
        finished = place.exists() and (place / "report.html").read_bytes() == b"new"
        if not finished:
            assert place.exists() == earlier
            assert not earlier or (place / "report.html").read_bytes() == b"old"
        else:  # only waiting for the parent's names failed: the new run is there, whole
            read_manifest(place)
            if not earlier:
                folder_module.shutil.rmtree(place)
            else:
                written(place, b"old")
        assert [one.name for one in tmp_path.iterdir()] in ([["out"]] if earlier else [[], ["out"]])
    assert stop > 5
    assert (place / "report.html").read_bytes() == b"new"


def test_what_a_killed_run_left_is_removed_a_day_later(tmp_path: Path) -> None:
    for age, name in ((90_000, ".out.11111111.half"), (10, ".out.22222222.half"), (90_000, ".other.33333333.half")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    alive = tmp_path / ".out.44444444.half"  # a run of days, which writes into the folders of its folder
    (alive / "maps").mkdir(parents=True)
    os.utime(alive, (time.time() - 90_000,) * 2)
    written(tmp_path / "out")
    left = [".other.33333333.half", ".out.22222222.half", ".out.44444444.half", "out"]
    assert sorted(one.name for one in tmp_path.iterdir()) == left


def test_an_exception_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def stopped() -> None:
        with OutputFolder(tmp_path / "out") as folder:
            folder.write("report.html", b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(tmp_path.iterdir()) == []


# ---- the page --------------------------------------------------------------------------------------------------------


def test_no_name_can_inject_anything() -> None:
    for name in NASTY:
        one = attribution(name, name, warnings=(name,), layer=name)
        text = page(one, failures=[{"picture": name, "reason": name}], command=["explain", name])
        found = Elements(text)
        plain = Elements(
            page(attribution(layer="l"), failures=[{"picture": "a", "reason": "b"}], command=["explain", "c"])
        )
        assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags], name
        assert all(not word.startswith("on") for _, attributes in found.tags for word in attributes)
        assert shown(name) in found.text
        text.encode("utf-8")


def test_the_check_of_injection_catches_an_unescaped_page(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [tag for tag, _ in Elements(page(attribution())).tags]
    text = page(attribution()).replace("<bdi>dog.jpg</bdi>", f"<bdi>{NASTY[0]}</bdi>")
    assert [tag for tag, _ in Elements(text).tags] != plain


def test_the_page_loads_nothing_and_allows_only_its_own_script() -> None:
    text = page(attribution())
    found = Elements(text)
    policy = next(a["content"] for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    addresses = [value for _, a in found.tags for word, value in a.items() if word in ("src", "href")]
    assert addresses == []
    assert set(re.findall(r"url\('(.{5})", text)) == {"data:"}
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_the_page_says_what_was_found() -> None:
    text = Elements(page(attribution(), failures=[{"picture": "bad.jpg", "reason": "cut off"}])).text
    for words in (
        "Why does the network see “dog”?", "90.0%", "Grad-CAM", "The map is flat: it is zero everywhere.",
        "1 picture could not be explained", "bad.jpg", "cut off", "cut away before the network saw it", "net",
    ):  # fmt: skip
        assert words in text


def test_a_picture_costs_few_bytes() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:900, :1200]
    rgb = np.stack([rows / 4, columns / 5, (rows + columns) / 9], -1) + rng.normal(0, 12, (900, 1200, 3))
    picture = load(rgb.clip(0, 255).astype(np.uint8))
    values = rng.normal(size=(224, 224)).astype(np.float32)
    one = attribution(picture=picture, map=values, frame=Frame((900, 1200), 1, (224, 299), 0, 37, (224, 224)))
    assert len(page(one)) < 150_000


def test_maps_share_a_scale_and_can_be_seen_on_their_own() -> None:
    strong, weak = attribution("a.jpg", strength=1.0), attribution("b.jpg", strength=0.1)
    pictures = [pictured([Result(strong)]), pictured([Result(weak)])]
    shared = [sheet.answers[0].cards[0].drawings for sheet in sheets(pictures, Style())]
    assert [[one.kind for one in drawings] for drawings in shared] == [["only"], ["shared", "own"]]
    assert [one.bar.ticks[-1][1] for one in shared[1]] == ["1", "0.1"]
    assert "10%" in shared[1][0].faint
    own = [sheet.answers[0].cards[0].drawings for sheet in sheets(pictures, Style(share="map"))]
    assert [[one.kind for one in drawings] for drawings in own] == [["only"], ["only"]]
    assert "one scale for all pictures" in page(strong, weak)
    assert "one scale for all pictures" not in page(strong)


def test_what_is_explained_is_marked_among_the_answers() -> None:
    def marked(target: Explained) -> list[bool]:
        (sheet,) = sheets([pictured([Result(attribution(target=target))])], PLAIN)
        return [explained for *_, explained in sheet.predictions]

    assert marked(Explained(1, "dog", 3.0, 0.9)) == [True, False]
    assert marked(Explained(1, "dog vs cat", 3.0, 0.9, against=0)) == [True, True]


def test_a_warning_of_every_map_is_told_once() -> None:
    text = page(attribution("a.jpg"), attribution("b.jpg"))
    assert text.count("it is zero everywhere") == 1


def test_a_map_of_dots_lies_over_a_grey_picture() -> None:
    noise = np.random.default_rng(0).normal(size=(112, 120)).astype(np.float32)
    smooth = np.outer(np.hanning(112), np.hanning(120)).astype(np.float32)
    assert Style().settled(noise).blend == "grey"
    assert Style().settled(smooth).blend == "strength"
    frame = Frame((40, 60), 1, (112, 168), 0, 24, (112, 120))
    texts = [page(attribution(map=values, frame=frame)) for values in (noise, smooth)]
    assert [text.count('class="stage grey"') for text in texts] == [1, 0]


CHROMIUM = Path("/usr/bin/chromium")


def browsed(file: Path) -> str:
    """What a browser makes of a page: its elements, after its script has run."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={file.parent}/profile",
        "--virtual-time-budget=500", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout.decode()


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM} to open the page with")
def test_a_browser_runs_none_of_the_injected_scripts_but_our_own(tmp_path: Path) -> None:
    name = "\"><img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
    file = tmp_path / "report.html"
    opened = page(attribution(name, name))
    # As a browser that comes back to the page leaves the slider where it stood: the script must move the maps' opacity.
    file.write_text(opened.replace('value="75"', 'value="20"'), "utf-8")
    shown_page = browsed(file)
    assert "<title>pwned" not in shown_page
    assert '<body style="--alpha: 0.2;">' in shown_page  # an outer element's would be hidden by the body's own
    assert shown_page.count("--alpha:") == 1
    file.write_text(f"<html><head><title>x</title></head><body>{name}</body></html>")
    assert "<title>pwned" in browsed(file)


# ---- figures ---------------------------------------------------------------------------------------------------------


def occluded() -> Attribution:
    boxes = np.array([[0, 0, 16, 32], [16, 0, 32, 32]])
    arrays = {"boxes": boxes, "probabilities": np.array([[0.2], [0.7]], np.float32)}
    return attribution(method=Occlusion(window=16, stride=16, fill="white"), arrays=arrays)


def test_occluded_pictures_hide_what_the_boxes_say() -> None:
    upper, lower = occluded_pictures(occluded())
    assert upper.shape == (32, 32, 3)
    assert (upper[:16] == 255).all()
    assert (lower[16:] == 255).all()
    assert not (upper[16:] == 255).all()


def test_every_kind_of_figure_is_drawn() -> None:
    pytest.importorskip("matplotlib")
    one = occluded()
    assert len(figure(one).axes) >= 3
    assert len(figure([attribution(), attribution("b.jpg")], rows=1).axes) >= 4
    assert len(figure(one, kind="occluded").axes) >= 2
    with pytest.raises(UsageError, match="draws a result of the method occlusion, and none"):
        figure(attribution(), kind="occluded")
    with pytest.raises(UsageError, match="did you mean 'panels'"):
        figure(one, kind="panel")


def test_manifest_is_ascii_json() -> None:
    content = Manifest(command=("é",), totals=TOTALS, records=[], failures=[]).to_bytes()
    assert json.loads(content.decode("ascii"))["command"] == ["é"]
