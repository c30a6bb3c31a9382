"""What maps and values of a comparison came with: each warning told once, with whom it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_NUMBER = re.compile(r"[-+−]?\d[\d.,]*(e[-+]?\d+)?%?")
_NAMED = 4


class Cautions:
    """Warnings as they come, gathered by their words; those that differ in numbers alone are one."""

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, None]] = {}
        self._rows: dict[str, dict[str, set[int]]] = {}

    def add(self, row: str, place: int, texts: Iterable[str]) -> None:
        """What one map, or its values, came with.

        Args:
            row: whose map it is.
            place: of the picture.
            texts: the warnings.
        """
        for text in texts:
            kind = _NUMBER.sub("#", text)
            self._texts.setdefault(kind, {})[text] = None
            self._rows.setdefault(kind, {}).setdefault(row, set()).add(place)

    def lines(self, rows: Sequence[str], pictures: int, methods: Sequence[str] = ()) -> tuple[str, ...]:
        """A line a warning, those of most maps first.

        Args:
            rows: of the whole comparison.
            pictures: how many were judged.
            methods: those of the rows that are methods.
        """
        many = {kind: sum(map(len, found.values())) for kind, found in self._rows.items()}
        return tuple(
            f"{_who(self._rows[kind], rows, methods)}{_where(self._rows[kind], pictures)}: {_what(self._texts[kind])}"
            for kind in sorted(many, key=lambda kind: -many[kind])
        )


def _what(texts: Iterable[str]) -> str:
    """The first of texts that differ in numbers alone; that they do is said, or its numbers would be taken for all."""
    first, *others = texts
    return f"{first} (so the first; elsewhere with other numbers)" if others else first


def _who(found: dict[str, set[int]], rows: Sequence[str], methods: Sequence[str]) -> str:
    names = [row for row in rows if row in found]
    if len(names) == len(rows) > 1:
        return "all"
    if len(names) > 1 and set(names) == set(methods):
        return "every method"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _where(found: dict[str, set[int]], pictures: int) -> str:
    places = set().union(*found.values())
    return "" if len(places) == pictures else f" on {len(places)} of {pictures} pictures"
