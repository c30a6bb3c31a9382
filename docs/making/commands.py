"""The command's reference from its own `--help`, and the pictures that the pages' own commands make."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

from PIL import Image

from making.pages import NOTE
from sightline.cli.main import COMMANDS, main

WIDTH = 110
SHRUNK = 2
"""How much smaller the pages show what a command drew, so that a page stays light."""


def commands_page() -> str:
    """`command-line.md`: what every command says of itself."""
    blocks = ["# The command line", "", NOTE.replace("docstring", "command"), ""]
    blocks += ["Every command, as its own `--help` describes it. How to begin: the [tour](tour.md).", ""]
    for words in ([], *([name] for name in COMMANDS)):
        blocks += [f"## {' '.join(['sightline', *words])}", "", "```text", help_of(words), "```", ""]
    return "\n".join(blocks).rstrip() + "\n"


def help_of(words: Sequence[str]) -> str:
    """What `sightline WORDS --help` prints, at a fixed width."""
    printed = io.StringIO()
    width = patch.dict(os.environ, COLUMNS=str(WIDTH), NO_COLOR="1")
    with width, contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return printed.getvalue().rstrip()


def commands_in(text: str) -> list[list[str]]:
    """The words of every `sightline` command in the shell blocks of a page, without the first."""
    blocks = re.findall(r"^```shell\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    split = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in split if words[:1] == ["sightline"]]


def run_shown(root: Path) -> Iterator[Path]:
    """Run the commands of the README and the tour that draw a figure, and keep it for the page; yields the paths."""
    for page in (root / "README.md", root / "docs" / "tour.md"):
        for words in commands_in(page.read_text(encoding="utf-8")):
            if "--figure" in words:
                yield _drawn(words, root / "docs" / "pictures")


def _drawn(words: list[str], folder: Path) -> Path:
    """What a command draws, made smaller for a page."""
    place = words.index("--figure") + 1
    name = Path(words[place]).name
    with tempfile.TemporaryDirectory() as temporary:
        figure = Path(temporary) / name
        with contextlib.redirect_stdout(io.StringIO()):
            code = main([*words[:place], str(figure), *words[place + 1 :], "--out", f"{temporary}/out", "--quiet"])
        if code != 0:
            raise RuntimeError(f"sightline {shlex.join(words)} ended with {code}")
        image = Image.open(figure).convert("RGB")
    target = folder / f"{figure.stem}.webp"
    image.reduce(SHRUNK).save(target, "WEBP", quality=84, method=6)
    return target
