"""Every metric against a slow plain re-derivation, and broken twins that the comparison catches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from sightline.evaluation.base import Metric, Question
from sightline.evaluation.faithfulness.deletion import Deletion
from sightline.evaluation.faithfulness.insertion import Insertion
from sightline.evaluation.localisation.pointing_game import PointingGame
from sightline.evaluation.localisation.relevance_mass import RelevanceMass
from sightline.images.fills import Blur, Grey, RiseBlur
from sightline.images.frame import Frame
from sightline.images.values import ValueRange
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from small import convolved

HEIGHT, WIDTH = 6, 7


def network() -> nn.Module:
    return convolved(HEIGHT, WIDTH)


def question(
    map: np.ndarray,
    mask: np.ndarray | None = None,
    target: Target | None = None,
    pixels: torch.Tensor | None = None,
    frame: Frame | None = None,
) -> Question:
    map = map.astype(np.float32)
    if pixels is None:
        pixels = torch.rand(1, 3, *map.shape, generator=torch.Generator().manual_seed(1))
    frame = frame or Frame.whole(*map.shape)
    return Question(
        pixels=pixels, map=map, picture_map=frame.to_picture(map), target=target or Target.of(2), frame=frame, mask=mask
    )


def judged(metric: Metric, asked: Question, model: nn.Module | None = None) -> float:
    passes = Passes(wrap(model if model is not None else network()))
    return metric(passes, asked).value


# ---- deletion and insertion ------------------------------------------------------------------------------------------


def last_first(map: np.ndarray) -> list[tuple[int, int]]:
    """Pixels by falling value, of equals the last in reading order first."""
    places = [(row, column) for row in range(map.shape[0]) for column in range(map.shape[1])]
    return sorted(places, key=lambda place: (map[place], place), reverse=True)


def first_first(map: np.ndarray) -> list[tuple[int, int]]:
    places = [(row, column) for row in range(map.shape[0]) for column in range(map.shape[1])]
    return sorted(places, key=lambda place: (-map[place], place))


def trapezoids(heights: list[float]) -> float:
    total = 0.0
    for before, after in itertools.pairwise(heights):
        total += (before + after) / 2
    return total / (len(heights) - 1)


def mean_of_ends_included(heights: list[float]) -> float:
    return sum(heights) / len(heights)


def slow_curve(
    start: torch.Tensor, end: torch.Tensor, asked: Question, steps: int, order: Callable = last_first
) -> list[float]:
    model, shown = network(), start.clone()
    places, size = order(asked.map), math.ceil(asked.map.size / steps)
    heights = []
    while True:
        with torch.no_grad():
            scores = model(shown)[0].tolist()
        index, against = int(asked.target.index[0]), asked.target.against
        others = scores if against is None else [scores[index], scores[int(against[0])]]
        heights.append(math.exp(scores[index]) / sum(math.exp(score) for score in others))
        if not places:
            return heights
        for row, column in places[:size]:
            for channel in range(3):
                shown[0, channel, row, column] = end[0, channel, row, column]
        places = places[size:]


def maps() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    signed = random.normal(size=(HEIGHT, WIDTH))
    return [signed, signed.clip(min=0), np.zeros((HEIGHT, WIDTH)), signed.round()]


@pytest.mark.parametrize("steps", [1, 5, 6, 41, 42, 224])
@pytest.mark.parametrize("target", [Target.of(2), Target.of(0, against=3)])
@pytest.mark.parametrize("place", range(4))
def test_deletion_and_insertion_equal_a_plain_loop(steps: int, target: Target, place: int) -> None:
    asked = question(maps()[place], target=target)
    grey = torch.full_like(asked.pixels, 0.5)
    slow = trapezoids(slow_curve(asked.pixels, grey, asked, steps))
    assert judged(Deletion(steps=steps), asked) == pytest.approx(slow, abs=1e-6)
    blurred = Blur(sigma=2).make(asked.pixels, ValueRange.unit())
    slow = trapezoids(slow_curve(blurred, asked.pixels, asked, steps))
    assert judged(Insertion(steps=steps, base=Blur(sigma=2)), asked) == pytest.approx(slow, abs=1e-6)


def test_the_whole_curve_is_that_of_the_loop() -> None:
    asked = question(maps()[0])
    found = Deletion(steps=9, base=Grey())(Passes(wrap(network())), asked)
    slow = slow_curve(asked.pixels, torch.full_like(asked.pixels, 0.5), asked, 9)
    assert found.curve is not None
    np.testing.assert_allclose(found.curve.y, slow, atol=1e-6)
    np.testing.assert_allclose(found.curve.x, np.arange(len(slow)) / (len(slow) - 1))
    assert found.value == pytest.approx(np.trapezoid(found.curve.y, found.curve.x))


def test_broken_twins_of_deletion_are_caught() -> None:
    tied = question(maps()[1])
    grey = torch.full_like(tied.pixels, 0.5)
    right = judged(Deletion(steps=10), tied)
    ends_not_halved = mean_of_ends_included(slow_curve(tied.pixels, grey, tied, 10))
    wrong_ties = trapezoids(slow_curve(tied.pixels, grey, tied, 10, order=first_first))
    least_first = trapezoids(slow_curve(tied.pixels, grey, tied, 10, order=lambda map: last_first(map)[::-1]))
    one_step_more = trapezoids(slow_curve(tied.pixels, grey, tied, 11))
    for twin in (ends_not_halved, wrong_ties, least_first, one_step_more):
        assert abs(twin - right) > 1e-4


def test_of_a_flat_map_the_last_pixel_goes_first() -> None:
    pixels = torch.zeros(1, 1, 2, 3)
    pixels[0, 0, 1, 2] = 1  # the last one in reading order
    asked = question(np.full((2, 3), 7.0), pixels=pixels, target=Target.of(0))
    seen: list[torch.Tensor] = []

    class Recorder(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen.append(pixels.clone())
            return pixels.flatten(1)[:, :2]

    found = Deletion(steps=6, base="black")(Passes(wrap(Recorder())), asked)
    shown = torch.cat(seen)[1:]  # the first is the clean pass
    assert shown[0, 0, 1, 2] == 0
    assert found.warnings
    assert "flat" in found.warnings[0]


def test_the_rise_blur_is_a_loop_over_its_kernel() -> None:
    pixels = torch.rand(1, 2, 9, 14, generator=torch.Generator().manual_seed(0))
    kernel = [0.0] * 11
    for offset in range(-20, 21):  # the delta at 5, blurred to 4 σ, mirrored at the ends of its 11 pixels
        place = (5 + offset) % 22
        kernel[place if place < 11 else 21 - place] += math.exp(-(offset**2) / 50)
    kernel = [value / sum(kernel) for value in kernel]
    filled = RiseBlur().make(pixels, ValueRange.unit())
    for row, column in [(0, 0), (4, 7), (8, 13), (3, 0)]:
        total = 0.0
        for down in range(-5, 6):
            for right in range(-5, 6):
                if 0 <= row + down < 9 and 0 <= column + right < 14:
                    total += kernel[down + 5] * kernel[right + 5] * float(pixels[0, 1, row + down, column + right])
        assert float(filled[0, 1, row, column]) == pytest.approx(total, abs=1e-6)
    beyond = Blur(sigma=5).make(pixels, ValueRange.unit())
    assert (filled - beyond).abs().max() > 0.05  # mirrored edges are another blur


# ---- pointing game ---------------------------------------------------------------------------------------------------


def slow_pointing(map: np.ndarray, mask: np.ndarray, tolerance: float, strict: bool = True) -> float:
    best = (0, 0)
    for row in range(map.shape[0]):
        for column in range(map.shape[1]):
            if map[row, column] > map[best]:
                best = (row, column)
    for row in range(map.shape[0]):
        for column in range(map.shape[1]):
            distance = math.dist(best, (row, column))
            near = distance < tolerance if strict else distance <= tolerance
            if mask[row, column] and (near or distance == 0):
                return 1.0
    return 0.0


@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 3, 15])
def test_pointing_game_equals_a_plain_loop(tolerance: float) -> None:
    random = np.random.default_rng(5)
    values = []
    for _ in range(25):
        map, mask = random.normal(size=(9, 11)).round(1), random.random((9, 11)) < 0.06
        if not mask.any():
            continue
        value = judged(PointingGame(tolerance=tolerance), question(map, mask))
        assert value == slow_pointing(map, mask, tolerance)
        values.append(value)
    assert tolerance in (3, 15) or {0.0, 1.0} == set(values)


@pytest.mark.parametrize(
    ("down", "right", "hit"), [(10, 11, 1.0), (9, 12, 0.0), (0, 15, 0.0), (0, 14, 1.0), (15, 1, 0.0)]
)
def test_fifteen_pixels_are_a_miss_and_a_little_less_is_a_hit(down: int, right: int, hit: float) -> None:
    map, mask = np.zeros((40, 50)), np.zeros((40, 50), bool)
    map[20, 30] = 1
    mask[20 - down, 30 - right] = True
    assert judged(PointingGame(), question(map, mask)) == hit


def test_a_twin_that_counts_the_border_is_caught() -> None:
    map, mask = np.zeros((40, 50)), np.zeros((40, 50), bool)
    map[20, 30] = 1
    mask[11, 18] = True  # 9 and 12: exactly 15
    assert slow_pointing(map, mask, 15, strict=False) != judged(PointingGame(), question(map, mask))


# ---- relevance mass --------------------------------------------------------------------------------------------------


def slow_mass(map: np.ndarray, mask: np.ndarray, seen: np.ndarray) -> float:
    inside = whole = 0.0
    for row in range(map.shape[0]):
        for column in range(map.shape[1]):
            if seen[row, column] and map[row, column] > 0:
                whole += float(map[row, column])
                inside += float(map[row, column]) if mask[row, column] else 0.0
    return inside / whole


def test_relevance_mass_equals_a_plain_loop_also_where_the_picture_was_cropped() -> None:
    random = np.random.default_rng(2)
    frame = Frame((18, 30), 1, (9, 15), 1, 4, (7, 8))
    for _ in range(10):
        map, mask = random.normal(size=(7, 8)), random.random((18, 30)) < 0.3
        asked = question(map, mask, frame=frame)
        slow = slow_mass(asked.picture_map, mask, frame.seen())
        assert judged(RelevanceMass(), asked) == pytest.approx(slow, abs=1e-6)
        absolute = slow_mass(np.abs(asked.picture_map), mask, frame.seen())
        assert absolute != pytest.approx(slow, abs=1e-4)  # a twin that counts evidence against the class is caught


# ---- what the numbers are for ----------------------------------------------------------------------------------------


class Planted(nn.Module):
    """The evidence for class 1 lies in one corner, evenly."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        evidence = pixels[:, :, :4, :4].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(evidence), 12 * (evidence - 0.7)], dim=1)


def test_the_true_map_beats_the_reversed_one() -> None:
    pixels = torch.full((1, 3, 12, 12), 0.2)
    pixels[:, :, :4, :4] = 1
    map, mask = np.zeros((12, 12)), np.zeros((12, 12), bool)
    map[:4, :4], mask[:4, :4] = 1, True
    true, wrong = (question(one, mask, Target.of(1), pixels) for one in (map, -map))
    model = Planted()
    assert judged(Deletion(), true, model) < judged(Deletion(), wrong, model) - 0.5
    assert judged(Insertion(), true, model) > judged(Insertion(), wrong, model) + 0.5
    assert judged(RelevanceMass(), true) == 1 > judged(RelevanceMass(), wrong)
    assert (
        judged(PointingGame(tolerance=3), true)
        == 1
        > judged(PointingGame(tolerance=3), question(map[::-1, ::-1], mask))
    )
