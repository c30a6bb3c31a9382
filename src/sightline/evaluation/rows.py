"""Rows of values over pictures: what is there, what takes its place, and some pictures of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def there(row: Sequence[float | None]) -> list[float]:
    """The values that are there."""
    return [value for value in row if value is not None]


def filled(row: Sequence[float | None], values: Sequence[float]) -> tuple[float | None, ...]:
    """The values in the places of a row that hold any."""
    found = iter(values)
    return tuple(None if one is None else next(found) for one in row)


def of_places(
    table: Mapping[str, Mapping[str, Sequence[T | None]]], places: Sequence[int]
) -> dict[str, dict[str, tuple[T | None, ...]]]:
    """Some of the pictures; rows that have nothing there are left out."""
    return {
        metric: {
            name: tuple(row[place] for place in places)
            for name, row in rows.items()
            if any(row[place] is not None for place in places)
        }
        for metric, rows in table.items()
    }
