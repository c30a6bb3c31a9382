"""Tables and lists of the leaderboard's page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`; `none` of nothing."""
    given = list(words)
    if len(given) < 2:
        return given[0] if given else "none"
    return ", ".join(given[:-1]) + " and " + given[-1]
