"""Training again: what is replaced, that it repeats itself, and that ROAR tells evidence from noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sightline.attribution.gradient.gradient import Gradient
from sightline.demo.train import untrained
from sightline.demo.worlds import Pictures
from sightline.evaluation.worlds import retraining
from sightline.evaluation.worlds.nulls import CentreMap
from sightline.evaluation.worlds.retraining import Retraining
from sightline.evaluation.worlds.small import Small, Split, trained

TINY = Small(scenes=48, held_out=8, size=32, epochs=1, shares=(0.25,))


def squares(many: int, size: int = 32) -> Pictures:
    """Two kinds that differ in the colour of a square in one corner, on noise: a world whose evidence is known."""
    generator = np.random.default_rng(0)
    images = generator.integers(90, 160, (many, size, size, 3), dtype=np.uint8)
    kinds = np.arange(many) % 2
    for image, kind in zip(images, kinds, strict=True):
        image[:12, :12] = (255, 0, 0) if kind else (0, 0, 255)
    answers = np.zeros((many, 10), dtype=np.float32)
    answers[np.arange(many), kinds] = 1
    return Pictures(images, answers, np.zeros((many, 4), dtype=np.int64))


def test_the_highest_share_is_replaced_by_one_colour() -> None:
    pictures, colour = squares(4), np.array([1, 2, 3], dtype=np.uint8)
    maps = np.random.default_rng(1).normal(size=(4, 32, 32)).astype(np.float32)
    found = retraining._replaced(pictures, maps, 0.25, colour)
    for before, after, map in zip(pictures.images, found.images, maps, strict=True):
        gone = {tuple(divmod(place, 32)) for place in np.argsort(map, axis=None)[::-1][: 32 * 32 // 4]}
        for row in range(32):
            for column in range(32):
                expected = colour if (row, column) in gone else before[row, column]
                assert (after[row, column] == expected).all()


def test_training_repeats_and_leaves_the_global_random_state_alone() -> None:
    pictures = squares(64)
    before = torch.random.get_rng_state()
    first, again, other = (trained(pictures, TINY, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
    assert torch.equal(untrained(3).head.weight, untrained(3).head.weight)
    assert not first.training


class Known:
    def __init__(self, map: np.ndarray, name: str) -> None:
        self.map, self.name = map, name

    def __str__(self) -> str:
        return self.name


def test_what_lies_on_the_evidence_cannot_be_learnt_again(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Split(squares(96), squares(40))
    monkeypatch.setattr(retraining, "split", lambda _: given)
    on, off = np.zeros((2, 32, 32), dtype=np.float32)
    on[:12, :12] = 1
    off[20:, 20:] = 1

    monkeypatch.setattr(retraining, "_maps", lambda method, _, some: np.stack([method.map] * len(some.images)))
    small = replace(TINY, scenes=96, epochs=6, shares=(144 / 1024,))
    left = Retraining(small).roar([Known(on, "on"), Known(off, "off")])  # type: ignore[list-item]
    share = small.shares[0]
    assert left["whole"][0.0][0] > 0.9
    assert left["off"][share][0] > 0.9
    assert left["on"][share][0] < 0.75


def test_a_map_that_does_not_look_at_the_network_survives_random_labels_unchanged() -> None:
    accuracy, alike = Retraining(TINY).random_labels([CentreMap(), Gradient()], pictures=4)
    assert set(accuracy) == {"true", "shuffled", "learnt"}
    assert all(value == pytest.approx(1) for values in alike["centre-map"].values() for value in values)
    assert np.mean(alike["gradient"]["spearman"]) < 0.9


def test_the_record_is_plain_and_says_how_it_was_made() -> None:
    import json

    record = Retraining(TINY).record([CentreMap()])
    assert json.loads(json.dumps(record)) == record
    assert record["settings"]["scenes"] == 48
    assert set(record["roar"]) == {"whole", "centre-map"}
    assert list(record["roar"]["centre-map"]) == ["0.25"]


def test_what_is_replaced_alike_is_trained_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = []

    def counted(*given: object) -> torch.nn.Module:
        trainings.append(given[-1])
        return trained(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(retraining, "trained", counted)
    monkeypatch.setattr(retraining, "_maps", lambda method, _, some: np.stack([method.map] * len(some.images)))
    ramp = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    left = Retraining(TINY).roar([Known(ramp, "ramp"), Known(2 * ramp, "double"), Known(-ramp, "turned")])  # type: ignore[list-item]
    assert len(trainings) == 3  # whole pictures, the ramp, the ramp turned
    assert left["ramp"] == left["double"]


def test_what_is_known_is_asked_for_by_name_and_not_made_again() -> None:
    pieces: dict[str, object] = {}

    def once(name: str, make: Callable[[], Any]) -> Any:
        if name not in pieces:
            pieces[name] = make()
        return pieces[name]

    record = Retraining(TINY, once=once).record([CentreMap()])
    assert len(pieces) == 4  # whole pictures, ROAR, the accuracies, random labels
    again = Retraining(TINY, once=once)
    assert again.record([CentreMap()]) == record
    assert "given" not in vars(again)  # nothing drawn, nothing trained
    Retraining(replace(TINY, seed=1), once=once).record([CentreMap()])
    assert len(pieces) == 8
