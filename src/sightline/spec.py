"""Methods, metrics and fills are frozen values with a text form: one definition, five uses.

The fields of a value make its text (`integrated-gradients(steps=64, baseline=blur)`), the command's help, the form in
the browser, the manifest and the documentation. The grammar of the text:

    value  = name [ "(" field "=" item { "," field "=" item } ")" ]
    item   = number | "true" | "false" | "none" | word | "quoted" | "(" item { "," item } ")" | value

Names and words are compared without case, hyphens and underscores. `str(value)` writes the fields that differ from
their defaults, so that text → value → text is stable.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

from sightline.errors import SpecError, plain_word, unknown
from sightline.spec_field import CATALOGUES, Field, as_field, fit
from sightline.spec_text import Call, Item, read, write

T = TypeVar("T", bound="Named")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Named:
    """Base of every frozen value that has a name and a text form.

    A subclass is named after its class (`GradCam` is `grad-cam`). Fields are checked when the value is made: type,
    `Range`, `Literal`; text is accepted wherever a nested value is expected (`baseline="blur(sigma=5)"`).
    """

    name: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    def __post_init__(self) -> None:
        for field in fields_of(type(self)):
            value = fit(field, getattr(self, field.name), owner=self.name)
            object.__setattr__(self, field.name, value)

    def __str__(self) -> str:
        return write(_as_call(self))

    def describe(self) -> dict[str, Any]:
        """The name and all fields as plain JSON values, nested values as their own descriptions."""
        fields = {field.name: plain(getattr(self, field.name)) for field in fields_of(type(self))}
        return {"name": self.name, "spec": str(self), "fields": fields}


class Catalogue(Mapping[str, type[T]], Generic[T]):
    """The table of contents of one kind of value: name → class, in the order of the story."""

    def __init__(self, kind: str, base: type[T], classes: Iterable[type[T]]) -> None:
        self.kind = kind
        self.base = base
        self._classes = {cls.name: cls for cls in classes}
        CATALOGUES[base] = self

    def __getitem__(self, name: str) -> type[T]:
        wanted = plain_word(name)
        for cls in self._classes.values():
            if wanted in {plain_word(known) for known in (cls.name, *cls.aliases)}:
                return cls
        raise SpecError(unknown(self.kind, name, self._classes))

    def __contains__(self, name: object) -> bool:
        known = (word for cls in self._classes.values() for word in (cls.name, *cls.aliases))
        return isinstance(name, str) and plain_word(name) in {plain_word(word) for word in known}

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def make(self, given: str | T) -> T:
        """The value that a text describes; a value is returned as it is.

        Raises:
            SpecError: the text cannot be read, or names an unknown value, field or word.
        """
        if isinstance(given, self.base):
            return given
        if isinstance(given, type) and issubclass(given, self.base):
            return given()
        if not isinstance(given, str):
            raise SpecError(
                f"a {self.kind} is a name such as {next(iter(self))!r} or a value, got {type(given).__name__}"
            )
        return self.build(_as_value_call(read(given), self.kind))

    def build(self, call: Call) -> T:
        """The value that a parsed text describes."""
        cls = self[call.name]
        known = {plain_word(field.name): field.name for field in fields_of(cls)}
        arguments: dict[str, Any] = {}
        for word, item in call.fields:
            if not known:
                raise SpecError(f"{cls.name} has no fields, got {word}")
            if plain_word(word) not in known:
                raise SpecError(unknown(f"field of {cls.name}", word, known.values()))
            if known[plain_word(word)] in arguments:
                raise SpecError(f"{cls.name} was given {known[plain_word(word)]} twice")
            arguments[known[plain_word(word)]] = item
        return cls(**arguments)


def fields_of(cls: type[Named]) -> tuple[Field, ...]:
    """The fields of a named value in the order they are written."""
    if "_fields_cache" not in cls.__dict__:
        hints = get_type_hints(cls, include_extras=True)
        cls._fields_cache = tuple(as_field(field, hints[field.name]) for field in dataclasses.fields(cls))  # type: ignore[attr-defined]
    return cls._fields_cache  # type: ignore[attr-defined]


def with_fields(value: T, **changes: Any) -> T:
    """The value, and every value nested in it, with the given fields set wherever they exist.

    So `with_fields(smooth_grad, layer="layer3")` sets the layer of the method that `smooth_grad` smooths.
    """
    new: dict[str, Any] = {}
    for field in fields_of(type(value)):
        old = getattr(value, field.name)
        if field.name in changes:
            new[field.name] = changes[field.name]
        elif isinstance(old, Named):
            new[field.name] = with_fields(old, **changes)
    return dataclasses.replace(value, **new)


def has_field(value: Named, name: str) -> bool:
    """Whether the value, or one nested in it, has such a field."""
    return any(
        field.name == name or (isinstance(nested := getattr(value, field.name), Named) and has_field(nested, name))
        for field in fields_of(type(value))
    )


def _as_call(value: Named) -> Call:
    changed = []
    for field in fields_of(type(value)):
        item = getattr(value, field.name)
        if item != field.default:
            changed.append((field.name, _as_call(item) if isinstance(item, Named) else item))
    return Call(value.name, tuple(changed))


def _as_value_call(item: Item, kind: str) -> Call:
    if isinstance(item, Call):
        return item
    if isinstance(item, str):
        return Call(item, ())
    raise SpecError(f"a {kind} is a name, optionally with fields in brackets, got {write(item)}")


def plain(value: Any) -> Any:
    """A field's value as JSON: nested values as their descriptions, tuples as lists."""
    if isinstance(value, Named):
        return value.describe()
    return list(value) if isinstance(value, tuple) else value
