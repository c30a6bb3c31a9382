"""What maps and values of a comparison came with is told once, with whom it is about, and never lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import sightline
from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.demo.scenes import PICTURES, render_image
from sightline.evaluation.cautions import Cautions

IMAGES = [render_image(PICTURES[name]) for name in ("dog", "cat", "owl")]
FEW = ["deletion(steps=4)"]


def test_the_same_words_with_other_numbers_are_one_line() -> None:
    told = Cautions()
    told.add("b", 0, ["off by +0.5 (12%)", "flat"])
    told.add("a", 1, ["off by -3e-05 (1.5%)"])
    told.add("a", 2, ["off by 7 (9%)"])
    assert told.lines(["a", "b", "c"], 3) == (
        "a, b: off by +0.5 (12%) (so the first; elsewhere with other numbers)",
        "b on 1 of 3 pictures: flat",
    )


def test_who_is_named_and_who_is_counted() -> None:
    told, rows = Cautions(), list("abcdef")
    for row in rows:
        told.add(row, 0, ["everyone"])
    for row in rows[:5]:
        told.add(row, 0, ["nearly"])
    assert told.lines(rows, 1) == ("all: everyone", "a, b, c, d and 1 more: nearly")
    assert told.lines(rows, 1, rows[:5])[1] == "every method: nearly"
    assert Cautions().lines(rows, 1) == ()


def test_a_comparison_tells_of_flat_maps_and_of_faint_targets() -> None:
    flat = [np.zeros((128, 128), np.float32)] * 3
    found = sightline.compare("demo", IMAGES, ["gradient"], FEW, target="bicycle", maps={"flat": flat})
    (line,) = [one for one in found.cautions if one.startswith("flat: ")]
    assert "the same value everywhere" in line
    assert any(one.startswith("all") and "%" in one for one in found.cautions)  # what is explained is hardly likely
    assert "to know:" in found.table()
    assert found.record()["cautions"] == list(found.cautions)
    assert found.subset([True, False, False], "one").cautions == ()


def test_nothing_to_know_is_nothing_said() -> None:
    found = sightline.compare("demo", IMAGES[:1], ["grad-cam"], FEW)
    assert found.cautions == ()
    assert "to know" not in found.table()


def test_a_comparison_doubts_a_wrong_preparation_as_explaining_does(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("sightline.runs.contest.glance", lambda *_: "it looks wrongly prepared")
    found = sightline.compare(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 2)),
                              torch.rand(3, 8, 8), ["gradient"], FEW)  # fmt: skip
    assert "gradient: it looks wrongly prepared" in found.cautions


def test_a_flat_map_does_not_win_what_only_a_flat_map_wins() -> None:
    """A map of zeros is like no other and never moves: by rule the best value of a sanity or robustness check."""

    class Zero(Method):
        traits = Traits(family="test", needs=Needs.SCORES, cost="none", paper="")

        def attribute(self, passes: Any, pixels: torch.Tensor, target: Any) -> Maps:
            return Maps(values=torch.zeros_like(pixels[:, :1]))

    sanity = ["random-logit(classes=2)", "max-sensitivity(samples=2)"]
    found = sightline.compare("demo", IMAGES[:2], [Zero(), "gradient"], ["gini", *sanity])
    assert found.values["gini"]["zero"] == (0, 0)
    for metric in sanity:
        assert set(found.values[metric]) == {"gradient"}
        assert found.best(metric) == "gradient"
    assert any(one.startswith("zero: a flat map would win random-logit") for one in found.cautions)
