"""Pictures of a comparison that go through the network together: same values, same costs, same failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import sightline
from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.demo.scenes import PICTURES, render_image
from sightline.errors import NonFiniteError
from sightline.evaluation.comparison import Comparison
from sightline.runs import contest_together
from sightline.runs.contest_together import made

IMAGES = [render_image(PICTURES[name]) for name in ("dog", "cat", "owl", "car")]
METHODS = ["grad-cam", "lrp", "smooth-grad(samples=4)", "occlusion(window=64, stride=64)"]
FEW = ["deletion(steps=2)", "gini"]


def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Who is asked for how many pictures at once, noted down."""
    found = []

    def noting(passes: Any, group: Any, method: Method) -> Any:
        found.append((method.name, len(group)))
        return made(passes, group, method)

    monkeypatch.setattr(contest_together, "made", noting)
    return found


def alone(monkeypatch: pytest.MonkeyPatch, *words: Any, **more: Any) -> Comparison:
    with monkeypatch.context() as changed:
        changed.setattr(contest_together, "_most", lambda *_: 1)
        return sightline.compare("demo", *words, **more)


def test_values_and_costs_are_those_of_one_picture_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one = alone(monkeypatch, IMAGES, METHODS, FEW)
    asked = sizes(monkeypatch)
    found = sightline.compare("demo", IMAGES, METHODS, FEW)
    assert ("lrp", 1) in asked  # the first picture of a size shows what a pass costs
    assert ("lrp", 3) in asked
    assert {many for name, many in asked if name == "occlusion"} == {1}
    for metric, rows in one_by_one.values.items():
        for row, values in rows.items():
            assert found.values[metric][row] == pytest.approx(values, abs=1e-5), (metric, row)
    for one in one_by_one.rows:
        assert (found.row(one.name).forward, found.row(one.name).backward) == (one.forward, one.backward)
    assert (found.pictures, found.targets) == (one_by_one.pictures, one_by_one.targets)


def test_targets_of_several_kinds_and_sizes_keep_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [*IMAGES[:3], torch.rand(3, 64, 64), *IMAGES[2:]]
    targets = ["dog", "cat", "dog-vs-cat", "owl", "cat-vs-dog", "dog-vs-cat"]
    one_by_one = alone(monkeypatch, pictures, ["gradient"], FEW, target=targets)
    asked = sizes(monkeypatch)
    found = sightline.compare("demo", pictures, ["gradient"], FEW, target=targets)
    assert [many for _, many in asked] == [1, 1, 1, 1, 2]
    assert found.targets == one_by_one.targets
    assert found.values["gini"]["gradient"] == pytest.approx(one_by_one.values["gini"]["gradient"], abs=1e-5)


@pytest.mark.parametrize("error", [NonFiniteError("NaN here"), ZeroDivisionError("oh")])
def test_one_picture_that_breaks_a_method_takes_no_other_with_it(error: Exception) -> None:
    bad = np.full((128, 128, 3), 255, np.uint8)

    class Brittle(Method):
        traits = Traits(family="gradient", needs=Needs.SCORES, cost="1 F", paper="")

        def attribute(self, passes: Any, pixels: torch.Tensor, target: Any) -> Maps:
            if (pixels.flatten(1).amin(1) == pixels.flatten(1).amax(1)).any() or pixels.mean((1, 2, 3)).max() > 1.5:
                raise error
            return Maps(values=pixels.mean(1, keepdim=True))

    found = sightline.compare("demo", [*IMAGES[:3], bad, IMAGES[3]], [Brittle(), "gradient"], FEW)
    (failure,) = found.failures
    assert (failure["picture"], failure["method"]) == ("picture 3", "brittle")
    assert [value is None for value in found.values["gini"]["brittle"]] == [False, False, False, True, False]
    assert None not in found.values["gini"]["gradient"]


def test_what_waits_to_be_judged_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest_together, "_KEPT", 2 * 3 * 128 * 128 * contest_together._EACH)
    asked = sizes(monkeypatch)
    sightline.compare("demo", IMAGES, ["gradient"], ["gini"])
    assert [many for _, many in asked] == [1, 2, 1]
