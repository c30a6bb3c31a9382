"""Rows B4, B5 and B13: a full disk, closed streams and a word to end leave nothing half done, and are no defect."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightline.cli.main import main
from sightline.reports.folder import OutputFolder
from sightline.reports.manifest import MANIFEST

FULL = Path("/dev/full")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    words = ["bash", "-c", line.replace("sightline", f"{sys.executable} -m sightline", 1)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_defect(closed: str) -> None:
    done = shell(f"sightline models {closed}")
    assert done.returncode == 0
    assert done.stderr == ""
    assert bool(done.stdout) == (closed == "2>&-")


def test_a_file_never_takes_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "import os, sys; from sightline.cli.main import main; main(['models'])\n"
        f"file = open({str(tmp_path / 'file')!r}, 'w')\n"
        "sys.exit(0 if file.fileno() > 2 else 1)"
    )
    line = f'{sys.executable} -c "$CODE" <&- >&- 2>&-'
    done = subprocess.run(["bash", "-c", line], env=os.environ | {"CODE": code}, timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["models", "models --json"])
def test_a_full_disk_behind_the_output_is_told_in_one_line(words: str) -> None:
    done = shell(f"sightline {words} > {FULL}")
    assert (done.returncode, done.stderr) == (2, "sightline: the machine refused: No space left on device\n")


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.ENOSPC])
def test_what_the_machine_refuses_is_no_defect(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(arguments: object) -> int:
        raise OSError(code, os.strerror(code), "some file")

    monkeypatch.setattr(importlib.import_module("sightline.cli.models"), "run", refused)
    assert main(["models"]) == 2
    assert capsys.readouterr().err == f"sightline: the machine refused for some file: {os.strerror(code)}\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_word_to_end_leaves_no_half_folder(
    number: signal.Signals, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(arguments: object) -> int:
        with OutputFolder(tmp_path / "out") as folder:
            folder.write("maps/one.npy", b"half")
            os.kill(os.getpid(), number)
            time.sleep(5)
        return 0

    own = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, own)  # whoever runs the tests, under `nohup` say, may have told them to ignore it
    try:
        monkeypatch.setattr(importlib.import_module("sightline.cli.models"), "run", half)
        assert main(["models"]) == code
        assert list(tmp_path.iterdir()) == []
        assert signal.getsignal(number) == own
    finally:
        signal.signal(number, before)


TOLD_TO_END = """
import importlib, os, signal, sys, time
from sightline.cli.main import main

class Last:
    def __del__(self):
        os.write(1, b"torn down")

last = Last()
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have told them to ignore it
def run(arguments):
    print("before", end=" ")
    NUMBER and os.kill(os.getpid(), NUMBER)
    time.sleep(5 if NUMBER else 0)
    return 0

importlib.import_module("sightline.cli.models").run = run
sys.argv = ["sightline", "models"]
sys.exit(main())
"""


def told_to_end(number: int) -> subprocess.CompletedProcess[str]:
    """A command that gets this signal, or none, in a process that says when the interpreter takes itself apart."""
    words = [sys.executable, "-c", TOLD_TO_END.replace("NUMBER", str(int(number)))]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("number", "code", "words"), [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, " by SIGTERM")])
def test_a_command_that_was_told_to_end_is_not_taken_apart_first(number: int, code: int, words: str) -> None:
    done = told_to_end(number)
    assert (done.returncode, done.stdout, done.stderr) == (code, "before ", f"sightline: stopped{words}\n")


def test_any_other_command_ends_as_python_does() -> None:
    done = told_to_end(0)
    assert (done.returncode, done.stdout) == (0, "before torn down")


def test_a_process_that_ignores_the_word_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under `nohup`
    try:

        def hung_up(arguments: object) -> int:
            os.kill(os.getpid(), signal.SIGHUP)
            return 0

        monkeypatch.setattr(importlib.import_module("sightline.cli.models"), "run", hung_up)
        assert main(["models"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("x" * 300, "File name too long"),
        ("~nobody-of-this-name/x", "cannot be a folder"),
        ("loop", "cannot be a folder"),
        ("file", "is a file"),
    ],
)
def test_a_place_that_cannot_be_is_refused_in_one_line(
    out: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    assert main(["explain", "demo:dog", "--out", out]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_large_folder_of_somebody_is_refused_at_its_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Path] = []
    for number in range(200):
        (tmp_path / "mine" / f"{number:03}").mkdir(parents=True)
        (tmp_path / "mine" / f"{number:03}" / "file").touch()
    real = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path, **more: (seen.append(path), real(path, **more))[1])
    assert main(["explain", "demo:dog", "--out", str(tmp_path / "mine")]) == 2
    assert "is not empty and holds no earlier run" in capsys.readouterr().err
    assert len([one for one in seen if one.name == "file"]) <= 1
    assert not (tmp_path / "mine" / MANIFEST).exists()
