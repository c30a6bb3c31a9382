"""docs/findings.md is what was measured."""

from __future__ import annotations

import copy
import json
from types import ModuleType

import pytest
from document import DOCS, ROOT

MEASURED = ROOT / "benchmarks" / "results" / "findings.json"


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/findings/page.py`, imported as it is run."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import findings.page as module

    return module


def test_the_page_is_what_was_measured(findings: ModuleType) -> None:
    found = json.loads(MEASURED.read_text("utf-8"))
    assert findings.page(ROOT, found) == (DOCS / "findings.md").read_text("utf-8"), "run: make findings-page"


def test_other_numbers_give_other_words(findings: ModuleType) -> None:
    """The verdicts are made from the numbers and can come out either way."""
    found = json.loads(MEASURED.read_text("utf-8"))
    turned = copy.deepcopy(found)
    turned["roads"]["imputed"], turned["roads"]["mean colour"] = (
        found["roads"]["mean colour"],
        found["roads"]["imputed"],
    )
    said = ("As in the paper, imputation", "Other than in the paper, imputation")
    both = [findings.page(ROOT, one) for one in (found, turned)]
    assert {tuple(text in page for text in said) for page in both} == {(True, False), (False, True)}


def test_a_row_of_few_photographs_is_a_hint_and_outcomes_follow_the_numbers(findings: ModuleType) -> None:
    found = json.loads(MEASURED.read_text("utf-8"))
    found["photographs"]["sanity"] = dict.fromkeys(found["photographs"]["sanity"], 4)
    assert findings.page(ROOT, found).count("a hint, so few photographs") == len(found["sanity"])
    found["photographs"]["sanity"] = dict.fromkeys(found["photographs"]["sanity"], 12)
    assert "a hint" not in findings.page(ROOT, found)
    found["sanity"]["guided-backpropagation"] = found["sanity"]["gradient"]
    assert "| **no clear difference to the gradient** |" in findings.page(ROOT, found)


def test_every_claim_has_an_outcome(findings: ModuleType) -> None:
    outcomes = findings.orderings.outcomes(ROOT / "benchmarks" / "results" / "quality.jsonl")
    assert len(outcomes) == len(findings.orderings.CLAIMS)
    assert all(one.found is not None for one in outcomes)
