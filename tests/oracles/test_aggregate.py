"""Statistics over pictures: against scipy, against slow loops, and whether intervals hold what they claim."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import NonFiniteError, UsageError
from sightline.evaluation.aggregate import Interval, best_threshold, class_mean, interval
from sightline.evaluation.differences import differences, front, holm, pictures_needed, ranks, sign_test

NUMBERS = st.integers(-1000, 1000).map(lambda number: number / 8)


def test_the_interval_is_scipys_bca() -> None:
    stats = pytest.importorskip("scipy.stats")
    for seed, count in ((0, 8), (1, 30), (2, 200)):
        row = np.random.default_rng(seed).gamma(2, size=count)
        ours = interval(row, resamples=20_000)
        theirs = stats.bootstrap(
            (row,), np.mean, n_resamples=20_000, method="BCa", random_state=np.random.default_rng(9)
        ).confidence_interval
        width = theirs.high - theirs.low
        assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
        assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


@pytest.mark.parametrize(("count", "least", "most"), [(5, 0.76, 0.88), (10, 0.86, 0.94), (50, 0.915, 0.975)])
def test_coverage_is_what_the_docstring_says(count: int, least: float, most: float) -> None:
    generator, held, samples = np.random.default_rng(count), 0, 600
    for seed in range(samples):
        found = interval(generator.normal(3, 2, count), seed=seed, resamples=400)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 3 <= found.high
    assert least <= held / samples <= most


def test_one_picture_claims_no_interval_and_equal_values_have_no_width() -> None:
    assert interval([0.25]) == Interval(0.25, None, None, 1)
    assert interval([0.25]).words() == "0.25"
    assert interval([0.5] * 7) == Interval(0.5, 0.5, 0.5, 7)
    assert interval([1.0, 0.0]).n == 2


@given(st.lists(NUMBERS, min_size=2, max_size=12), st.integers(1, 9), NUMBERS)
@settings(max_examples=30, deadline=None)
def test_the_interval_moves_and_stretches_with_the_values(row: list[float], factor: int, shift: float) -> None:
    one = interval(row, resamples=200)
    other = interval([factor * value + shift for value in row], resamples=200)
    assert one.low is not None
    assert one.high is not None
    assert other.low == pytest.approx(factor * one.low + shift, abs=1e-6)
    assert other.high == pytest.approx(factor * one.high + shift, abs=1e-6)
    assert one.low <= one.high
    assert min(row) <= one.low + 1e-9
    assert one.high <= max(row) + 1e-9


def test_wrong_values_are_refused() -> None:
    with pytest.raises(UsageError, match="one a picture"):
        interval([])
    with pytest.raises(NonFiniteError, match="NaN"):
        interval([1.0, float("nan")])
    with pytest.raises(UsageError, match="between 0 and 1"):
        interval([1.0, 2.0], confidence=95)
    with pytest.raises(UsageError, match="100 resamples"):
        interval([1.0, 2.0], resamples=5)
    with pytest.raises(UsageError, match="numbers differ"):
        differences({"a": [1.0, 2.0], "b": [1.0]}, "higher")


def test_the_mean_over_classes_by_loops() -> None:
    values, classes = [1.0, 0, 0, 1, 1], ["dog", "dog", "cat", "cat", "owl"]
    assert class_mean(values, classes).mean == pytest.approx((0.5 + 0.5 + 1) / 3)
    found = class_mean(values, classes, resamples=4000, seed=3)
    generator, means = np.random.default_rng(11), []
    for _ in range(4000):
        rows = generator.integers(5, size=5)
        by_class: dict[str, list[float]] = {}
        for row in rows:
            by_class.setdefault(classes[row], []).append(values[row])
        means.append(np.mean([np.mean(one) for one in by_class.values()]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.03)


def test_the_best_threshold_by_loops() -> None:
    overlaps = np.random.default_rng(0).random((40, 9))
    places = np.linspace(0.1, 0.9, 9)
    shares = [sum(row[column] >= 0.5 for row in overlaps) / 40 for column in range(9)]
    found = best_threshold(overlaps, places)
    assert found.accuracy == max(shares)
    assert found.threshold == pytest.approx(places[shares.index(max(shares))])
    with pytest.raises(UsageError, match="pictures × thresholds"):
        best_threshold(overlaps, places[:3])


@given(st.lists(NUMBERS, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_the_sign_test_by_all_signs(row: list[float]) -> None:
    at_hand = abs(sum(row))
    far = [
        abs(sum(s * v for s, v in zip(signs, row, strict=True))) >= at_hand
        for signs in product((1, -1), repeat=len(row))
    ]
    assert sign_test(row) == pytest.approx(sum(far) / len(far))


def test_the_drawn_sign_test_agrees_with_the_t_test_and_is_uniform_by_chance() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(0)
    row = generator.normal(0.4, 1, 40)
    assert sign_test(row) == pytest.approx(stats.ttest_1samp(row, 0).pvalue, abs=0.01)
    chances = [sign_test(generator.normal(0, 1, 10)) for _ in range(300)]
    assert 0.02 <= np.mean(np.array(chances) <= 0.05) <= 0.09


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_verdicts() -> None:
    generator = np.random.default_rng(0)
    base = generator.random(20)
    values = {"a": base, "b": base + 0.1 + 0.01 * generator.random(20), "c": base + 0.001 * generator.normal(size=20)}
    found = {(one.one, one.other): one.verdict for one in differences(values, "higher")}
    assert found == {("a", "b"): "worse", ("a", "c"): "noise", ("b", "c"): "better"}
    lower = {(one.one, one.other): one.verdict for one in differences(values, "lower", against="b")}
    assert lower == {("a", "b"): "better", ("c", "b"): "better"}
    (alone,) = differences({"a": [0.1], "b": [0.9]}, "higher")
    assert (alone.verdict, alone.p) == ("one picture", None)
    assert "one picture says nothing" in alone.words()


def test_too_few_pictures_tell_nothing_apart_however_large_the_difference() -> None:
    need = pictures_needed(2)
    assert need == 6
    steps = np.arange(need) / 100
    for count, verdict in ((need - 1, "noise"), (need, "better")):
        (found,) = differences({"a": 1 + steps[:count], "b": np.zeros(count)}, "higher")
        assert found.verdict == verdict
    assert 2.0 ** (1 - pictures_needed(5)) * 10 <= 0.05 < 2.0 ** (2 - pictures_needed(5)) * 10


def test_a_method_without_a_value_is_compared_on_the_pictures_that_it_has() -> None:
    generator = np.random.default_rng(2)
    one, other = generator.random(12), generator.random(12) + 1
    (whole,) = differences({"a": one[:10], "b": other[:10]}, "higher")
    (gaps,) = differences({"a": [*one[:10], None, one[11]], "b": [*other[:11], None]}, "higher")
    assert gaps == whole
    assert differences({"a": [None, 1.0], "b": [1.0, None]}, "higher") == []
    with pytest.raises(UsageError, match="no picture in common"):
        ranks({"a": [None, 1.0], "b": [1.0, None]}, "higher")
    with pytest.raises(NonFiniteError, match="values of b"):
        differences({"a": [1.0], "b": [float("inf")]}, "higher")


def test_the_best_of_equals_is_not_made_a_winner() -> None:
    generator, named = np.random.default_rng(7), 0
    for _ in range(80):
        values = {name: generator.normal(size=15) for name in "abcdef"}
        best = max(values, key=lambda name: values[name].mean())
        named += any(one.verdict != "noise" for one in differences(values, "higher", against=best, resamples=200))
    assert named / 80 <= 0.10


def test_by_chance_alone_few_families_of_pairs_name_a_winner() -> None:
    generator, named = np.random.default_rng(5), 0
    for _ in range(120):
        values = {name: generator.normal(size=12) for name in "abcd"}
        named += any(one.verdict != "noise" for one in differences(values, "higher", resamples=200))
    assert named / 120 <= 0.10


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_ranks_by_sorting(columns: list[list[int]]) -> None:
    table = {name: [float(column[place]) for column in columns] for place, name in enumerate("abc")}
    expected = dict.fromkeys("abc", 0.0)
    for column in columns:
        for place, name in enumerate("abc"):
            places = [rank for rank, value in enumerate(sorted(column, reverse=True), 1) if value == column[place]]
            expected[name] += sum(places) / len(places) / len(columns)
    found = ranks(table, "higher")
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(6)


def test_the_front() -> None:
    assert front([0.9, 0.5, 0.9, 0.4], [10, 1, 20, 5], "higher") == [True, True, False, False]
    assert front([0.1, 0.5], [10, 1], "lower") == [True, True]
    assert front([0.5, 0.5], [1, 1], "lower") == [True, True]
