"""docs/precision.md is what was measured."""

from __future__ import annotations

from types import ModuleType

import pytest
from document import DOCS, ROOT

from sightline.attribution.table import METHODS


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/precision.py`, imported as it is run."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import precision

    return precision


def test_the_page_is_what_was_measured(module: ModuleType) -> None:
    assert module.page(*module.read()) == (DOCS / "precision.md").read_text("utf-8"), "run: make precision"


def test_a_page_of_other_numbers_is_another_page(module: ModuleType) -> None:
    torch, store = module.read()
    worse = {network: {method: {"x.jpg": 0.5} for method in methods} for network, methods in store.items()}
    assert "**0.500** · 1" in module.page(torch, worse)


def test_every_method_was_tried_somewhere(module: ModuleType) -> None:
    tried = {text.partition("(")[0] for methods in module.read()[1].values() for text in methods}
    assert tried == set(METHODS)
