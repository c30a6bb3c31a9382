"""The page on quality says what the store says, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from document import DOCS, ROOT

STORE = ROOT / "benchmarks" / "results" / "quality.jsonl"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/quality/page.py`, imported as it is run."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import quality.page as module

    return module


def found(path: Path) -> Any:
    from quality.summary import results

    return results(path)


def test_the_page_is_what_the_store_says(page: ModuleType) -> None:
    assert (DOCS / "quality.md").read_text(encoding="utf-8") == page.page(found(STORE)), "run: make quality-page"


def test_the_page_on_choosing_says_what_the_store_says(page: ModuleType) -> None:
    from quality.choosing import measured

    text = (DOCS / "choosing.md").read_text(encoding="utf-8")
    parts = measured(found(STORE))
    assert all(f"<!-- measured: {name} -->" in text for name in parts)
    assert page.filled(text, parts) == text, "run: make quality-page"


def test_another_number_is_another_page(page: ModuleType, tmp_path: Path) -> None:
    """The broken twin: one value changed in the store must show."""
    from quality.store import Store

    before = found(STORE)
    row = next(row for row in before.reference.rows.values() if row.deletion is not None)
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(STORE.read_bytes())
    Store(changed).add(dataclasses.replace(row, deletion=row.deletion / 2 + 0.3))
    assert page.page(found(changed)) != page.page(before)


def test_every_method_is_measured_or_has_its_reason() -> None:
    from quality.store import Store

    from sightline.attribution.table import METHODS

    known = {method for tool, method, _, _ in Store(STORE).rows() if tool == "sightline"}
    known |= {method for tool, method in Store(STORE).notes() if tool == "sightline"}
    assert set(METHODS) <= known, sorted(set(METHODS) - known)
