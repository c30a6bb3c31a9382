"""docs/speed.md is what was measured."""

from __future__ import annotations

import dataclasses
from types import ModuleType

import pytest
from document import DOCS, ROOT

MEASURED = ROOT / "benchmarks" / "results" / "speed.json"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/speed/page.py`, imported as it is run; it needs none of the packages that are measured."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import speed.page as module

    return module


def test_the_page_is_what_was_measured(page: ModuleType) -> None:
    from speed.store import read

    records = list(read(MEASURED).values())
    assert page.page(records) == (DOCS / "speed.md").read_text("utf-8"), "run: make bench-page"


def test_a_page_of_other_numbers_is_another_page(page: ModuleType) -> None:
    from speed.store import read

    records = list(read(MEASURED).values())
    first = records[0]
    entries = [dataclasses.replace(one, seconds=(one.seconds or 1.0) * 3) for one in first.entries[:1]]
    changed = [dataclasses.replace(first, entries=[*entries, *first.entries[1:]]), *records[1:]]
    assert page.page(changed) != page.page(records)


def test_every_record_has_us_and_a_rival(page: ModuleType) -> None:
    from speed.store import read

    for record in read(MEASURED).values():
        assert record.entry("float32") is not None, record.key
        assert record.fastest("given") is not None, record.key
        assert record.parts <= record.of, record.key
