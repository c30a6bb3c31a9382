"""docs/parity.md is what was measured, and no comparison lies further from its peer than it is allowed to."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import pytest
from document import DOCS, ROOT

from sightline.attribution.table import METHODS

BENCHMARKS = ROOT / "benchmarks"
MEASURED = BENCHMARKS / "results" / "parity.json"


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    """The package, as it is run."""
    pytest.importorskip("scipy")
    sys.path.insert(0, str(BENCHMARKS))
    import parity.page
    import parity.store

    return parity


def test_the_page_is_what_was_measured(parity: ModuleType) -> None:
    about, lines, _ = parity.store.read(MEASURED)
    assert parity.page.page(about, lines) == (DOCS / "parity.md").read_text("utf-8"), "run: make parity-page"


def test_a_page_of_other_numbers_is_another_page(parity: ModuleType) -> None:
    about, lines, _ = parity.store.read(MEASURED)
    name, one = next(iter(lines[0].networks.items()))
    changed = [replace(lines[0], networks={**lines[0].networks, name: {**one, "difference": 0.123}}), *lines[1:]]
    assert parity.page.page(about, changed) != parity.page.page(about, lines)


def test_no_row_is_over_its_tolerance(parity: ModuleType) -> None:
    _, lines, _ = parity.store.read(MEASURED)
    for line in lines:
        for name, one in line.networks.items():
            assert line.tolerance is None or one["difference"] <= line.tolerance, (line.ours, line.call, name)
            assert line.tolerance is None or line.tolerance <= 1e-4, line.ours
        assert line.tolerance is not None or line.why, f"{line.ours} beside {line.call}: why do they differ?"


def test_rows_are_the_worst_of_the_records(parity: ModuleType) -> None:
    _, lines, records = parity.store.read(MEASURED)
    assert records
    for line in lines:
        own = [
            record for record in records if (record.peer, record.ours, record.call) == (line.peer, line.ours, line.call)
        ]
        for name, one in line.networks.items():
            each = [record for record in own if record.network == name]
            assert one["difference"] == pytest.approx(max(record.difference for record in each), rel=1e-2)
            assert one["photographs"] == len({record.photograph for record in each})


def test_methods_of_the_page_are_methods(parity: ModuleType) -> None:
    _, lines, _ = parity.store.read(MEASURED)
    for line in lines:
        assert METHODS.make(line.ours.replace("LAYER", "layer4")).name == line.method
        assert line.method in METHODS


def test_enough_photographs(parity: ModuleType) -> None:
    about, lines, _ = parity.store.read(MEASURED)
    assert about["photographs"] >= 10
    assert {name for line in lines for name in line.networks} == {"ResNet-18", "ResNet-50", "ViT-Tiny"}


def test_every_method_stands_beside_something_else(parity: ModuleType) -> None:
    _, lines, _ = parity.store.read(MEASURED)
    assert {line.method for line in lines} == set(METHODS), "a method has no row, or was not measured: make parity"


def test_the_page_counts_what_it_shows(parity: ModuleType) -> None:
    about, lines, _ = parity.store.read(MEASURED)
    cells = [one for line in lines for one in line.networks.values()]
    full = sum(one["photographs"] >= 10 for one in cells)
    said = f"{full} of the {len(cells)} comparisons are on 10 photographs"
    assert said in parity.page.page(about, lines)
    assert said not in parity.page.page(about, lines[1:])
