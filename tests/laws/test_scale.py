"""What holds for every map that is drawn, whatever its values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sightline.errors import NonFiniteError
from sightline.pictures.overlay import heat, heat_layer
from sightline.pictures.scale import SIGNS, Scale, normalise, scale_of
from sightline.pictures.style import Style

LARGEST = float(np.finfo(np.float32).max)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)
EVERY = st.floats(-LARGEST, LARGEST, width=32, allow_subnormal=True)
MAPS = hnp.arrays(np.float32, SHAPES, elements=EVERY)
MODEST = hnp.arrays(np.float32, SHAPES, elements=st.floats(-100, 100, width=32))
SIGN = st.sampled_from(SIGNS)
PERCENTILE = st.sampled_from([100.0, 99.0, 50.0])


@settings(max_examples=150)
@given(MAPS, SIGN, PERCENTILE)
@example(np.array([[1e-45, 0]], np.float32), "all", 100.0)
@example(np.array([[LARGEST, -LARGEST]], np.float32), "all", 100.0)
@example(np.array([[0, 0, 0, 5]], np.float32), "all", 50.0)
def test_every_finite_map_lies_in_zero_to_one(values: NDArray, sign: str, percentile: float) -> None:
    scale = scale_of(values, sign, percentile)
    places = normalise(values, scale)
    assert places.shape == values.shape
    assert np.isfinite(places).all()
    assert places.min() >= 0
    assert places.max() <= 1


@settings(max_examples=100)
@given(MODEST, SIGN, PERCENTILE, st.floats(1e-30, 1e30))
@example(np.array([[1, 2], [3, -4]], np.float32), "all", 100.0, 1e-30)
def test_a_positive_factor_changes_nothing(values: NDArray, sign: str, percentile: float, factor: float) -> None:
    wide = values.astype(np.float64)
    assume((wide == 0).all() or np.abs(wide[wide != 0]).min() > 1e-30)
    small, large = (normalise(one, scale_of(one, sign, percentile)) for one in (wide, wide * factor))
    np.testing.assert_allclose(large, small, atol=1e-6)


def test_an_epsilon_in_the_denominator_would_break_that_law() -> None:
    def blunt(values: NDArray) -> NDArray:
        return values / (values.max() + 1e-8)

    ramp = np.linspace(0, 1, 9).reshape(3, 3)
    assert not np.allclose(blunt(ramp * 1e-20), blunt(ramp))
    assert np.allclose(normalise(ramp * 1e-20, scale_of(ramp * 1e-20)), normalise(ramp, scale_of(ramp)))


@settings(max_examples=60)
@given(EVERY, SIGN, PERCENTILE, SHAPES)
def test_a_constant_map_is_flat_and_draws_nothing(value: float, sign: str, percentile: float, shape: tuple) -> None:
    values = np.full(shape, value, np.float32)
    scale = scale_of(values, sign, percentile)
    assert scale.flat
    assert not normalise(values, scale).any()
    for blend in ("strength", "even"):
        assert not heat_layer(values, Style(sign=sign, blend=blend))[..., 3].any()


@settings(max_examples=60)
@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(-LARGEST, 0, width=32)), st.sampled_from(["all", "negative"]))
def test_a_map_below_zero_is_not_blank(values: NDArray, sign: str) -> None:
    assume(values.min() < values.max())
    scale = scale_of(values, sign)
    places = normalise(values, scale)
    assert places.min() < places.max()
    strongest = np.unravel_index(np.argmin(values), values.shape)
    assert places[strongest] == (0.0 if sign == "all" else 1.0)
    assert heat_layer(values, Style(sign=sign), scale)[strongest][3] == 255


@settings(max_examples=60)
@given(MAPS)
def test_zero_is_the_middle_of_both_signs_and_turning_the_map_turns_the_colours(values: NDArray) -> None:
    assume(values.min() < 0 < values.max())
    scale = scale_of(values)
    assert scale.diverging
    assert scale.low == -scale.high
    np.testing.assert_allclose(normalise(-values, scale_of(-values)), 1 - normalise(values, scale), atol=1e-6)
    assert (normalise(np.zeros_like(values), scale) == 0.5).all()


@settings(max_examples=60)
@given(MAPS, SIGN)
def test_larger_shown_values_never_get_an_earlier_place(values: NDArray, sign: str) -> None:
    part = {"all": values, "positive": values, "negative": -values, "absolute": np.abs(values)}[sign]
    places = normalise(values, scale_of(values, sign)).ravel()
    assert (np.diff(places[np.argsort(part.ravel(), kind="stable")]) >= 0).all()


@settings(max_examples=40)
@given(st.lists(MODEST, min_size=2, max_size=3), SIGN)
def test_a_shared_scale_reaches_as_far_as_the_widest_map(maps: list[NDArray], sign: str) -> None:
    shared, own = scale_of(maps, sign), [scale_of(one, sign) for one in maps]
    assume(not shared.flat)
    assert shared.reach == max(
        scale.reach for scale in own if not scale.flat or sign in ("all", "absolute") or scale.high
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("draw", [scale_of, heat, lambda one: normalise(one, Scale(0, 1))])
def test_nan_and_infinity_are_refused(bad: float, draw) -> None:
    values = np.ones((4, 5), np.float32)
    values[2, 3] = bad
    with pytest.raises(NonFiniteError, match="1 of 20 values"):
        draw(values)
