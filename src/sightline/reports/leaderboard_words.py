"""Tables and lists of the leaderboard's page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


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


def code(row: Mapping[str, Any]) -> str:
    """A contestant with its settings, as code."""
    return f"`{row['spec']}`"


def names(rows: Iterable[Mapping[str, Any]]) -> str:
    """Contestants by their names, as code."""
    return listed(f"`{row['name']}`" for row in rows)
