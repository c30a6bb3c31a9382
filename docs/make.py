"""Make the pages and pictures of `docs/` that come from the code: `python docs/make.py`.

Without options everything is written: one page a method and a metric, the fills, the command's reference, the
leaderboard from its record, and all pictures. `--check` writes nothing and tells which pages differ from the code (exit
code 1); `--pages` leaves the pictures as they are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent


def texts() -> dict[str, str]:
    """Every page made from the code, wholly or in its marked parts: its path in `docs/` and its text."""
    from making.blocks import filled
    from making.commands import commands_page
    from making.pages import all_pages, leaderboard_page

    written = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    marked = {name: filled(text) for name, text in written.items() if "<!-- code: " in text}
    return {**all_pages(), "command-line.md": commands_page(), "leaderboard.md": leaderboard_page(), **marked}


def stale(pages: dict[str, str]) -> list[str]:
    """What does not hold what the code says: pages that differ or are missing, and pages of what is gone."""
    made = {path.relative_to(DOCS).as_posix() for kind in ("methods", "metrics") for path in (DOCS / kind).glob("*.md")}
    differing = [name for name, text in pages.items() if _read(DOCS / name) != text]
    return sorted({*differing, *(made - pages.keys())})


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="docs/make.py", description="Make the pages and pictures that come from code."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page differs")
    parser.add_argument("--pages", action="store_true", help="only the pages, not the pictures")
    given = parser.parse_args(arguments)
    pages = texts()
    old = stale(pages)
    if given.check:
        print("\n".join(f"differs from the code: docs/{name}" for name in old) or "all pages are as the code says")
        return 1 if old else 0
    for name in old:
        if name in pages:
            (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
            (DOCS / name).write_text(pages[name], encoding="utf-8")
        else:
            (DOCS / name).unlink()
        print(f"docs/{name}")
    if not given.pages:
        _draw()
    return 0


def _draw() -> None:
    import torch
    from making.commands import run_shown
    from making.drawings import draw_all

    torch.set_num_threads(1)  # the same sums in the same order on every machine
    for path in (*draw_all(DOCS / "pictures"), *run_shown(DOCS.parent)):
        print(path.relative_to(DOCS.parent), f"{path.stat().st_size / 1000:.0f} kB")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
