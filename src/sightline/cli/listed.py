"""What `sightline methods` and `sightline metrics` share: a list of everything, or one thing with its fields."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from sightline.cli.parser import Parser
from sightline.cli.tables import table
from sightline.errors import SpecError, plain_word, unknown
from sightline.spec_text import write

Entry = dict[str, Any]
_TRAITS = {"aliases": "also called"}
UNLIMITED = 1 << 20
"""A limit from here on only keeps numbers sane; it is not told."""


def add_name(parser: Parser, kind: str, example: str) -> None:
    """The words of both commands."""
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"show the fields of one {kind}, such as {example}")
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def show(
    arguments: argparse.Namespace, kind: str, entries: Sequence[Entry], overview: Callable[[Sequence[Entry]], str]
) -> int:
    """Print all entries, or the one that was named."""
    chosen = [_named(arguments.name, kind, entries)] if arguments.name else list(entries)
    if arguments.json:
        print(json.dumps(chosen, indent=1))
    elif arguments.name:
        print(_page(chosen[0]))
    else:
        print(overview(chosen))
        print(f"\n`sightline {kind}s {chosen[0]['name']}` shows the fields of one.")
    return 0


def first_sentence(entry: Entry) -> str:
    """What it is, in a sentence."""
    return str(entry["summary"]).split("\n", maxsplit=1)[0]


def _named(name: str, kind: str, entries: Sequence[Entry]) -> Entry:
    word = name.partition("(")[0]
    for entry in entries:
        if plain_word(word) in map(plain_word, (entry["name"], *entry["aliases"])):
            return entry
    raise SpecError(unknown(kind, word, [entry["name"] for entry in entries]))


def _page(entry: Entry) -> str:
    """One method or metric, with every field."""
    traits = [
        [_TRAITS.get(key, key.replace("_", " ")), _trait(value)]
        for key, value in entry.items()
        if key not in ("name", "summary", "fields") and value != []
    ]
    lines = [f"{entry['name']}: {first_sentence(entry)}", "", table(["trait", ""], traits)]
    if not entry["fields"]:
        return "\n".join([*lines, "", "It has no fields."])
    fields = [
        [field["name"], field["takes"], _word(_spec(field["default"])), field["doc"] + _limits(field)]
        for field in entry["fields"]
    ]
    first = entry["fields"][0]
    example = f"{entry['name']}({first['name']}={_word(_spec(first['default']))})"
    lines += ["", table(["field", "takes", "default", "meaning"], fields)]
    return "\n".join([*lines, "", f'as in --{_option(entry)} "{example}"'])


def _trait(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else _word(value)


def _option(entry: Entry) -> str:
    return "metric" if "better" in entry else "method"


def _limits(field: Entry) -> str:
    notes = []
    if field["range"]:
        low, high = field["range"]
        notes.append(f"from {low:g}" + (f" to {high:g}" if high < UNLIMITED else " on"))
    named = [word for word in field["choices"] if word not in field["takes"].split("|")]
    if named:
        notes.append("one of " + ", ".join(named))
    return f" ({'; '.join(notes)})" if notes else ""


def _spec(default: Any) -> Any:
    return default["spec"] if isinstance(default, dict) else default


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return write(tuple(value))
    return "none" if value is None else str(value)
