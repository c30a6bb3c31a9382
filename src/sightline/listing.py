"""What there is: every method and metric with its fields, made from the values themselves."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from sightline.attribution.table import METHODS
from sightline.evaluation.table import METRICS
from sightline.spec import Named, fields_of, plain


def methods() -> list[dict[str, Any]]:
    """Every method, in the order of the story: name, summary, family, needs, cost, guarantees, paper, fields."""
    return [_entry(cls, vars(cls().traits)) for cls in METHODS.values()]


def metrics() -> list[dict[str, Any]]:
    """Every metric: name, summary, family, which way is better, needs, cost, paper, fields."""
    return [_entry(cls, vars(cls.traits)) for cls in METRICS.values()]


def _entry(cls: type[Named], traits: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": cls.name,
        "aliases": list(cls.aliases),
        "summary": inspect.getdoc(cls) or "",
        **{name: getattr(value, "value", value) for name, value in traits.items()},
        "fields": [
            {
                "name": field.name,
                "takes": field.kind,
                "default": plain(field.default),
                "choices": list(field.choices),
                "range": dataclasses.astuple(field.range) if field.range else None,
                "doc": field.doc,
            }
            for field in fields_of(cls)
        ],
    }
