"""Running the code of a page: python blocks one after another, shell blocks through the command itself.

A `text` block right after one of them is what it prints: lines are compared without regard to the number of spaces, and
`…` stands for anything. A python block that begins with `# NAME.py` is also that file.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sightline.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NOT_RUN = ("make", "pip", "git", "python")
"""Programs that a page may name and that are not run here."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One block of a page; `output` is the text block that follows it at once, if there is one."""

    language: str
    code: str
    line: int
    output: str | None = None


def blocks_of(page: Path) -> list[Block]:
    """The python and shell blocks of a page, with what they are said to print."""
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    blocks = []
    for place, match in enumerate(found):
        after = found[place + 1] if place + 1 < len(found) else None
        follows = after is not None and after[1] == "text" and not text[match.end() : after.start()].strip()
        if match[1] in ("python", "shell"):
            line = text.count("\n", 0, match.start()) + 1
            blocks.append(Block(match[1], match[2], line, after[2] if follows and after else None))
    return blocks


def run_page(page: Path, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run every block of a page in the current folder; the names that its python blocks leave."""
    module = ModuleType("page")  # in sys.modules, since dataclasses look up their module there
    vars(module).update(names or {})
    sys.modules["page"] = module
    try:
        for block in blocks_of(page):
            where = f"{page.relative_to(ROOT)}:{block.line}"
            printed = _shell(block, where) if block.language == "shell" else _python(block, where, vars(module))
            if block.output is not None:
                compare(block.output, printed, where)
    finally:
        del sys.modules["page"]
    return vars(module)


def compare(expected: str, printed: str, where: str) -> None:
    """Demand that what was printed is what the page says; the page may leave lines out at the end of stderr."""
    wanted = [" ".join(line.split()) for line in expected.strip().splitlines()]
    came = [" ".join(line.split()) for line in printed.strip().splitlines() if line.strip()]
    pattern = [re.escape(line).replace("…", ".*") for line in wanted if line]
    matches = len(came) == len(pattern) and all(re.fullmatch(*pair) for pair in zip(pattern, came, strict=True))
    assert matches, f"{where} says\n{expected}\nand this was printed\n{printed}"


def _python(block: Block, where: str, names: dict[str, Any]) -> str:
    if file := re.match(r"# (\w+\.py)\n", block.code):
        Path(file[1]).write_text(block.code, encoding="utf-8")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.code, where, "exec"), names)
    return printed.getvalue()


def _shell(block: Block, where: str) -> str:
    printed, told = io.StringIO(), io.StringIO()
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] in NOT_RUN:
            continue
        assert words[0] == "sightline", f"{where}: {words[0]} is not a command that a page may run"
        refused = block.output is not None and block.output.startswith("sightline: ")
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            code = main(words[1:] if words[1] != "explain" else [*words[1:], "--quiet"])
        assert code == (2 if refused else 0), f"{where}: {line} ended with {code}: {told.getvalue()}"
    return printed.getvalue() + (told.getvalue() if block.output and block.output.startswith("sightline: ") else "")
