"""argparse with errors that help: one line that says what came, what was expected, and the nearest right word."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sightline.errors import SpecError, UsageError, nearest, unknown


class Parser(argparse.ArgumentParser):
    """A parser that raises `UsageError` instead of printing a page of usage."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found as one line."""
        text = message.removeprefix("argument ")
        raise UsageError(f"{text} (see `{self.prog} --help`)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Say which of the choices is meant; argparse would only list them."""
        if action.choices is not None and value not in action.choices:
            kind = action.option_strings[-1] if action.option_strings else "command"
            raise UsageError(unknown(kind, str(value), [str(choice) for choice in action.choices]))

    def known(self) -> list[str]:
        """Every option, short and long."""
        return [word for action in self._actions for word in action.option_strings]


def unknown_option(parser: Parser, word: str) -> UsageError:
    """What to say to an option that is not there."""
    if Path(word).exists():
        return UsageError(f"{word!r} is no option: if the file is meant, write ./{word}")
    name = word.partition("=")[0]
    close = nearest(name, [word for word in parser.known() if word.startswith("--")], most=1)
    hint = f"did you mean {close[0]}?" if close else f"see `{parser.prog} --help`"
    return UsageError(f"unknown option {name!r}: {hint}")


def whole(low: int) -> Callable[[str], int]:
    """A whole number from `low` on."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low:
            raise argparse.ArgumentTypeError(f"a whole number from {low} on was expected, and {text!r} came")
        return number

    return read


def between(low: float, high: float) -> Callable[[str], float]:
    """A number from `low` to `high`."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"a number from {low:g} to {high:g} was expected, and {text!r} came")
        return number

    return read


def above(low: float) -> Callable[[str], float]:
    """A finite number above `low`."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not low < number < float("inf"):
            raise argparse.ArgumentTypeError(f"a number above {low:g} was expected, and {text!r} came")
        return number

    return read


def listed(words: Sequence[str] | None, default: Sequence[str]) -> list[str]:
    """Names of a list with commas between, which brackets and quotes protect.

    Raises:
        SpecError: an empty name, or a bracket that is not closed.
    """
    if not words:
        return list(default)
    return [name for text in words for name in _split(text)]


def _split(text: str) -> list[str]:
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if letter == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    names = [part.strip() for part in parts]
    if not all(names):
        raise SpecError(f"a name is missing in {text!r}: give names with commas between, as in grad-cam,occlusion")
    return names
