"""Every metric of localisation against a slow plain re-derivation, and broken twins that the comparison catches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from sightline.evaluation.base import Metric, Question, Value
from sightline.evaluation.localisation.auc import Auc
from sightline.evaluation.localisation.iou import Iou
from sightline.evaluation.localisation.max_box_acc import MaxBoxAcc
from sightline.evaluation.localisation.relevance_mass import RelevanceMass
from sightline.evaluation.localisation.relevance_rank import RelevanceRank
from sightline.evaluation.localisation.top_k import TopK
from sightline.images.frame import Frame
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes

SIZE = (8, 9)


def judged(
    metric: Metric, map: np.ndarray, mask: np.ndarray, frame: Frame | None = None, boxes: tuple | list = ()
) -> Value:
    frame = frame or Frame.whole(*map.shape)
    map = map.astype(np.float32)
    question = Question(
        pixels=torch.zeros(1, 3, *frame.input),
        map=map,
        picture_map=frame.to_picture(map),
        target=Target.of(0),
        frame=frame,
        mask=mask,
        boxes=boxes,
    )
    return metric(Passes(wrap(lambda pixels: pixels.mean((2, 3)))), question)


def samples(count: int = 12, rounded: int | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(4)
    found = []
    for _ in range(count):
        map = random.normal(size=SIZE)
        mask = random.random(SIZE) < 0.3
        mask[3, 4] = True
        found.append((map if rounded is None else map.round(rounded), mask))
    return found


def slow_share(map: np.ndarray, mask: np.ndarray, count: int, largest: bool = True) -> float:
    """The mean over many orders of equal values, one pixel at a time."""
    random, places = np.random.default_rng(0), list(np.ndindex(*map.shape))
    shares = []
    for _ in range(400 if len(np.unique(map)) < map.size else 1):
        order = sorted(places, key=lambda place: (map[place], random.random()), reverse=largest)
        shares.append(sum(bool(mask[place]) for place in order[:count]) / count)
    return sum(shares) / len(shares)


@pytest.mark.parametrize("rounded", [None, 0])
def test_rank_and_top_k_equal_a_plain_loop(rounded: int | None) -> None:
    for map, mask in samples(4 if rounded == 0 else 12, rounded):
        apart = 0.03 if rounded == 0 else 1e-12
        count = int(mask.sum())
        assert judged(RelevanceRank(), map, mask).value == pytest.approx(slow_share(map, mask, count), abs=apart)
        found = judged(TopK(k=7), map, mask)
        assert found.value == pytest.approx(slow_share(map, mask, 7), abs=apart)
        assert found.details["gain"] == pytest.approx(found.value / mask.mean())
        if rounded is None:
            assert slow_share(map, mask, 7) == slow_share(np.exp(map), mask, 7)
            twins = [slow_share(map, mask, count + 5), slow_share(map, mask, count, largest=False)]
            assert any(twin != judged(RelevanceRank(), map, mask).value for twin in twins)


def test_a_flat_map_gets_what_knows_nothing() -> None:
    _, mask = samples(1)[0]
    flat = np.ones(SIZE)
    for metric in (RelevanceRank(), TopK(k=10), RelevanceMass()):
        assert judged(metric, flat, mask).value == pytest.approx(mask.mean())
    assert judged(Auc(), flat, mask).value == 0.5
    assert "knows nothing" in judged(Auc(), flat, mask).warnings[0]


def test_top_k_of_a_small_object_says_what_it_can_reach() -> None:
    mask = np.zeros(SIZE, bool)
    mask[2, 2:4] = True
    found = judged(TopK(), np.random.default_rng(0).random(SIZE), mask)
    assert found.value == pytest.approx(2 / 72)
    assert "fewer than k = 72" in found.warnings[0]


@pytest.mark.parametrize("rounded", [None, 0])
def test_auc_is_the_chance_that_a_pixel_on_the_object_is_above_one_beside_it(rounded: int | None) -> None:
    for whole, mask in samples(rounded=rounded):
        map = whole.astype(np.float32)
        wins = [1.0 if one > other else 0.5 if one == other else 0.0 for one in map[mask] for other in map[~mask]]
        found = judged(Auc(), map, mask)
        assert found.value == pytest.approx(sum(wins) / len(wins), abs=1e-12)
        assert judged(Auc(), -map, mask).value == pytest.approx(1 - found.value)
        assert found.curve is not None
        assert (found.curve.x[0], found.curve.y[0], found.curve.x[-1], found.curve.y[-1]) == (0, 0, 1, 1)
        if rounded == 0:
            assert sum(win > 0.5 for win in wins) / len(wins) != pytest.approx(found.value)  # a twin without ties


def test_auc_without_anything_beside_the_object_is_chance_and_told() -> None:
    found = judged(Auc(), np.random.default_rng(0).random(SIZE), np.ones(SIZE, bool))
    assert found.value == 0.5
    assert any("cannot be compared" in warning for warning in found.warnings)


@pytest.mark.parametrize("threshold", ["fixed(share=0.3)", "quantile(share=0.7)", "otsu"])
def test_iou_counts_pixels(threshold: str) -> None:
    for map, mask in samples():
        metric = Iou(threshold=threshold)  # type: ignore[arg-type]
        level = metric.threshold.level(map.astype(np.float32).ravel())
        both = either = 0
        for place in np.ndindex(*SIZE):
            on = map[place] > 0 and np.float32(map[place]) >= level
            both += bool(on and mask[place])
            either += bool(on or mask[place])
        assert judged(metric, map, mask).value == pytest.approx(both / either)
    assert judged(Iou(threshold="fixed"), np.where(mask, 1.0, -1.0), mask).value == 1  # type: ignore[arg-type]
    assert "no positive" in judged(Iou(), -np.ones(SIZE), mask).warnings[0]


def slow_box_overlap(map: np.ndarray, level: float, given: list[tuple[float, ...]], several: bool) -> float:
    scaled = (map - map.min()) / (map.max() - map.min())
    left, boxes = scaled > level, []
    while left.any():
        open_, part = [tuple(np.argwhere(left)[0])], []
        left[open_[0]] = False
        while open_:
            place = open_.pop()
            part.append(place)
            for down, right in itertools.product((-1, 0, 1), repeat=2):
                near = (place[0] + down, place[1] + right)
                if 0 <= near[0] < map.shape[0] and 0 <= near[1] < map.shape[1] and left[near]:
                    left[near] = False
                    open_.append(near)
        rows, columns = zip(*part, strict=True)
        boxes.append((len(part), (min(columns), min(rows), max(columns) + 1, max(rows) + 1)))
    if not several:
        boxes = [max(boxes, key=lambda part: part[0])] if boxes else []  # of equal ones the first
    best = 0.0
    for _, box in boxes:
        for other in given:
            wide = max(0, min(box[2], other[2]) - max(box[0], other[0]))
            tall = max(0, min(box[3], other[3]) - max(box[1], other[1]))
            area = (box[2] - box[0]) * (box[3] - box[1]) + (other[2] - other[0]) * (other[3] - other[1])
            best = max(best, wide * tall / (area - wide * tall))
    return best


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_max_box_acc_equals_a_plain_loop(version: str) -> None:
    values = set()
    for seed in range(14):
        random = np.random.default_rng(seed)
        down, right = np.mgrid[:20, :24]
        hills = list(zip(random.integers(5, 15, 3), random.integers(5, 19, 3), strict=True))
        map = sum(random.random() * np.exp(-((down - y) ** 2 + (right - x) ** 2) / 12) for y, x in hills)
        map = np.asarray(map, np.float32)
        y, x = hills[seed % 2]
        boxes = [(x - 3.5, y - 3.0, x + 4.0, y + 3.5), (14.0, 2.0, 22.0, 9.0)]
        mask = np.zeros((20, 24), bool)
        mask[y - 3 : y + 4, x - 3 : x + 4] = mask[2:9, 14:22] = True
        found = judged(MaxBoxAcc(version=version, levels=40), map, mask, boxes=boxes)  # type: ignore[arg-type]
        heights = [slow_box_overlap(map, level / 40, boxes, several=version == "v2") for level in range(40)]
        assert found.curve is not None
        np.testing.assert_allclose(found.curve.y, heights, atol=1e-6)
        deltas = (0.3, 0.5, 0.7) if version == "v2" else (0.5,)
        assert found.value == pytest.approx(np.mean([max(heights) >= delta for delta in deltas]))
        values.add(found.value)
    assert len(values) > 1


def test_boxes_are_found_around_the_parts_of_a_mask_where_none_were_given() -> None:
    mask = np.zeros((20, 24), bool)
    mask[4:14, 3:12] = True
    exact = judged(MaxBoxAcc(), mask.astype(float), mask)
    assert (exact.value, exact.details["best overlap"]) == (1, 1)
    flat = judged(MaxBoxAcc(), np.ones((20, 24)), mask)
    assert flat.details["best overlap"] == pytest.approx(90 / 480)
    assert "flat" in flat.warnings[0]


def test_mass_with_absolute_values_counts_evidence_against() -> None:
    for map, mask in samples():
        slow = np.abs(map)[mask].sum() / np.abs(map).sum()
        found = judged(RelevanceMass(sign="absolute"), map, mask)
        assert found.value == pytest.approx(slow, abs=1e-6)
        assert found.details["gain"] == pytest.approx(slow / mask.mean(), abs=1e-5)
        assert found.value != pytest.approx(judged(RelevanceMass(), map, mask).value, abs=1e-3)


NEW = [RelevanceRank(), TopK(k=40), Iou(), Auc(), MaxBoxAcc()]


@pytest.mark.parametrize("metric", NEW, ids=lambda metric: metric.name)
def test_what_the_network_was_not_shown_counts_nowhere(metric: Metric) -> None:
    frame = Frame((18, 30), 1, (9, 15), 1, 4, (7, 8))
    random = np.random.default_rng(2)
    map, mask = random.normal(size=(7, 8)), np.zeros((18, 30), bool)
    mask[3:12, 9:20] = True
    beside = mask | ~frame.seen()  # a second object where the network did not look
    assert judged(metric, map, mask, frame).value == pytest.approx(judged(metric, map, beside, frame).value, abs=0.4)
    if metric.name != "max-box-acc":
        assert judged(metric, map, mask, frame).value == judged(metric, map, beside, frame).value
    hidden = np.zeros((18, 30), bool)
    hidden[:5, :5] = ~frame.seen()[:5, :5]
    gone = judged(metric, map, hidden, frame)
    assert gone.value == (0.5 if metric.name == "auc" else 0)
    assert "100% of the object lies outside" in gone.warnings[0]


@pytest.mark.parametrize("metric", NEW, ids=lambda metric: metric.name)
def test_the_true_map_beats_noise_and_its_own_negative(metric: Metric) -> None:
    down, right = np.mgrid[:40, :40]
    mask = (down - 15) ** 2 + (right - 22) ** 2 < 80
    true = np.exp(-((down - 15) ** 2 + (right - 22) ** 2) / 60)
    noise = np.random.default_rng(0).random((40, 40))
    best = judged(metric, true, mask).value
    assert best > 0.8
    assert best > judged(metric, noise, mask).value + 0.3
    assert best > judged(metric, -true, mask).value + 0.3
    assert math.isfinite(best)
