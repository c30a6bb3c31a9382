"""The fields of named values: what they may hold, said in words and checked when a value is made."""

from __future__ import annotations

import dataclasses
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from sightline.errors import SpecError, plain_word, unknown
from sightline.spec_text import Call, write
from sightline.types import Doc, Range

CATALOGUES: dict[type, Any] = {}
"""Base of a kind of named value → its catalogue; filled by the catalogues themselves."""


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a named value, as the command, the form and the docs show it."""

    name: str
    annotation: Any
    default: Any
    range: Range | None
    doc: str

    @property
    def choices(self) -> tuple[str, ...]:
        """The words a field may hold, if it is a choice or a nested value."""
        words: list[str] = []
        for option in _options(self.annotation):
            if get_origin(option) is Literal:
                words += [str(word) for word in get_args(option)]
            elif _is_named(option):
                words += list(catalogue_of(option))
        return tuple(words)

    @property
    def kind(self) -> str:
        """What the field takes, in words."""
        return " or ".join(_word_for(option) for option in _options(self.annotation))


def catalogue_of(cls: type) -> Any:
    """The catalogue whose base a class derives from."""
    for base in cls.__mro__:
        if base in CATALOGUES:
            return CATALOGUES[base]
    raise LookupError(f"no catalogue holds {cls.__name__}; import its table first")


def fit(field: Field, value: Any, owner: str) -> Any:
    """The value as the field's type, or an error that names the field, what came and what was expected."""
    for option in _options(field.annotation):
        fitted = _fit_one(option, value)
        if fitted is not _NO:
            _check_range(field, fitted, owner)
            return fitted
    if not isinstance(value, tuple | list) and any(_takes_several(option) for option in _options(field.annotation)):
        return fit(field, (value,), owner)  # one where several may stand
    came = write(value) if isinstance(value, Call | str | int | float | tuple) else type(value).__name__
    if field.choices and isinstance(value, str | Call):
        word = value.name if isinstance(value, Call) else value
        raise SpecError(unknown(f"{field.name} of {owner}", word, field.choices))
    raise SpecError(f"{owner}: {field.name} takes a {field.kind}, got {came}")


_NO = object()


def _fit_one(option: Any, value: Any) -> Any:
    """The value as one of the types that a field may hold, or `_NO`."""
    if option is type(None):
        return None if value is None or value == "none" else _NO
    if get_origin(option) is Literal:
        return next((word for word in get_args(option) if plain_word(str(word)) == plain_word(str(value))), _NO)
    if get_origin(option) is tuple:
        return _fit_tuple(get_args(option), value)
    return _fit_named(option, value) if _is_named(option) else _fit_plain(option, value)


def _fit_plain(option: Any, value: Any) -> Any:
    if isinstance(value, bool) or option is bool:
        return value if option is bool and isinstance(value, bool) else _NO
    if option is float and isinstance(value, int | float):
        return float(value)
    if option is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if option is str and isinstance(value, int):
        return str(value)  # a layer called "0"; a float is refused, since 6.10 would come back as 6.1
    return value if isinstance(value, option) else _NO


def _fit_tuple(parts: tuple[Any, ...], value: Any) -> Any:
    if parts[-1] is Ellipsis:
        several = isinstance(value, tuple | list) and len(value) > 0
        return _fit_tuple(parts[:1] * len(value), value) if several else _NO
    if not isinstance(value, tuple | list) or len(value) != len(parts):
        return _NO
    fitted = tuple(_fit_one(part, item) for part, item in zip(parts, value, strict=True))
    return _NO if any(item is _NO for item in fitted) else fitted


def _takes_several(option: Any) -> bool:
    return get_origin(option) is tuple and get_args(option)[-1] is Ellipsis


def _fit_named(option: type, value: Any) -> Any:
    if isinstance(value, option):
        return value
    catalogue = catalogue_of(option)
    if isinstance(value, Call):
        return catalogue.build(value)
    if isinstance(value, str) or (isinstance(value, type) and issubclass(value, option)):
        return catalogue.make(value)
    return _NO


def _check_range(field: Field, value: Any, owner: str) -> None:
    for number in value if isinstance(value, tuple) else (value,):
        if field.range is None or not isinstance(number, int | float):
            continue
        if not field.range.low <= number <= field.range.high:
            words = field.range.words()
            if number > field.range.high and words.startswith("at least"):
                words = f"at most {field.range.high:,.0f}"
            raise SpecError(f"{owner}: {field.name} must be {words}, got {write(number)}")


def as_field(field: dataclasses.Field[Any], hint: Any) -> Field:
    """A field of a dataclass with its `Annotated` extras."""
    extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    annotation = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    limit = next((extra for extra in extras if isinstance(extra, Range)), None)
    doc = next((extra.text for extra in extras if isinstance(extra, Doc)), "")
    default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    return Field(field.name, annotation, default, limit, doc)


def _options(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _is_named(option: Any) -> bool:
    return isinstance(option, type) and any(base in CATALOGUES for base in option.__mro__)


def _word_for(option: Any) -> str:
    if get_origin(option) is Literal:
        return "|".join(str(word) for word in get_args(option))
    if get_origin(option) is tuple:
        return "(" + ", ".join("…" if part is Ellipsis else _word_for(part) for part in get_args(option)) + ")"
    if option is type(None):
        return "none"
    if _is_named(option):
        return catalogue_of(option).kind
    return {int: "whole number", float: "number", bool: "true|false", str: "text"}.get(option, str(option))
