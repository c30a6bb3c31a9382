"""Reading and writing the text form of named values; the grammar is in `sightline.spec`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from sightline.errors import SpecError

Item: TypeAlias = Any
"""A number, True, False, None, a word, a tuple of items, or a `Call`."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<quoted>"(?:[^"\\]|\\.)*"|'[^']*')
    | (?P<word>[\w/][\w./\-]*)
    | (?P<mark>[(),=])
    )""",
    re.VERBOSE,
)
_BARE = re.compile(r"[A-Za-z_/][\w./\-]*")
_CONSTANTS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Call:
    """A name with fields, not yet looked up."""

    name: str
    fields: tuple[tuple[str, Item], ...]


def read(text: str) -> Item:
    """One item from its text.

    Raises:
        SpecError: with the place where reading stopped.
    """
    reader = _Reader(text)
    try:
        item = reader.item()
    except RecursionError:
        raise SpecError(f"cannot read {text[:40]!r}…: too many brackets inside each other") from None
    reader.end()
    return item


def write(item: Item) -> str:
    """The text of an item; `read(write(item)) == item`."""
    if isinstance(item, Call):
        inside = ", ".join(f"{name}={write(value)}" for name, value in item.fields)
        return f"{item.name}({inside})" if inside else item.name
    if isinstance(item, bool) or item is None:
        return {True: "true", False: "false", None: "none"}[item]
    if isinstance(item, int | float):
        return f"{item:g}" if isinstance(item, float) and float(f"{item:g}") == item else repr(item)
    if isinstance(item, tuple | list):
        return "(" + ", ".join(write(part) for part in item) + ")"
    bare = _BARE.fullmatch(item) and item.lower() not in _CONSTANTS
    return item if bare else json.dumps(item, ensure_ascii=False)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def peek(self) -> tuple[str, str] | None:
        """Kind and text of the next token, or None at the end."""
        if not self.text[self.place :].strip():
            return None
        match = _TOKEN.match(self.text, self.place)
        if match is None:
            raise self.error("a name, a number or a quoted text")
        return str(match.lastgroup), match.group().strip()

    def take(self, mark: str | None = None) -> str:
        token = self.peek()
        if token is None or (mark is not None and token[1] != mark):
            raise self.error(repr(mark) if mark else "more")
        match = _TOKEN.match(self.text, self.place)
        assert match is not None
        self.place = match.end()
        return token[1]

    def error(self, expected: str) -> SpecError:
        rest = self.text[self.place :].strip()
        where = f"before {rest!r}" if rest else "at the end"
        return SpecError(f"cannot read {self.text!r}: expected {expected} {where}")

    def end(self) -> None:
        if self.peek() is not None:
            raise self.error("nothing more")

    def item(self) -> Item:
        token = self.peek()
        if token is None:
            raise self.error("a value")
        kind, text = token
        if text == "(":
            return self.items()
        if kind == "mark":
            raise self.error("a value")
        self.take()
        if kind == "number":
            return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
        if kind == "quoted":
            return self.unquoted(text)
        if self.peek() == ("mark", "("):
            return Call(text, self.fields())
        return _CONSTANTS.get(text.lower(), text)

    def unquoted(self, text: str) -> str:
        try:
            return str(json.loads(text)) if text[0] == '"' else text[1:-1]
        except json.JSONDecodeError as error:
            raise SpecError(f"cannot read {self.text!r}: {text} is not a quoted text ({error.msg})") from error

    def items(self) -> tuple[Item, ...]:
        self.take("(")
        items: list[Item] = []
        while self.peek() != ("mark", ")"):
            items.append(self.item())
            if self.peek() != ("mark", ")"):
                self.take(",")
        self.take(")")
        return tuple(items)

    def fields(self) -> tuple[tuple[str, Item], ...]:
        self.take("(")
        found: list[tuple[str, Item]] = []
        while self.peek() != ("mark", ")"):
            name = self.take()
            if self.peek() != ("mark", "="):
                raise SpecError(f"cannot read {self.text!r}: fields are written name=value, got {name!r} alone")
            self.take("=")
            found.append((name, self.item()))
            if self.peek() != ("mark", ")"):
                self.take(",")
        self.take(")")
        return tuple(found)
