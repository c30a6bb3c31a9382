"""Named values: text to value and back, fields checked, errors that teach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sightline.attribution.activation.grad_cam import GradCam
from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
from sightline.attribution.gradient.smooth_grad import SmoothGrad
from sightline.attribution.perturbation.occlusion import Occlusion
from sightline.attribution.table import METHODS
from sightline.errors import SpecError
from sightline.images.fills import FILLS, Blur, Uniform
from sightline.spec import Named, has_field, with_fields
from sightline.spec_text import Call, read, write
from sightline.types import Range

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True).filter(
    lambda name: name not in ("true", "false", "none")
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SINGLE = NUMBERS | st.booleans() | st.none() | WORDS


def calls(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    fields = st.lists(st.tuples(NAMES, items), min_size=1, max_size=3).map(tuple)
    return st.builds(Call, NAMES, fields)


ITEMS = st.recursive(SINGLE, lambda inner: st.lists(inner, max_size=3).map(tuple) | calls(inner), max_leaves=8)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ITEMS)
@example("True")
@example("NONE")
@example("6.10")
@example("0")
@example("layer4[-1]")
@example('"quoted" \\ and\nlines')
@example(("a",))
@example(-0.0)
@example(1e300)
def test_what_is_written_is_read_back(item: Any) -> None:
    again = read(write(item))
    assert again == item
    assert type(again) is type(item) or isinstance(item, float)


def fills() -> st.SearchStrategy[Any]:
    sigma = st.floats(0.1, 1000, allow_nan=False)
    return st.sampled_from(sorted(set(FILLS) - {"blur"})) | st.builds(lambda value: Blur(sigma=value), sigma)


def methods() -> st.SearchStrategy[Any]:
    pair = st.tuples(st.integers(1, 99), st.integers(1, 99)) | st.integers(1, 500)
    layer = st.none() | WORDS.filter(lambda word: word != "none") | st.integers(0, 20).map(str)
    plain = (
        st.builds(
            Occlusion, window=pair, stride=pair, fill=fills(), score=st.sampled_from(["drop", "complement", "logit"])
        )
        | st.builds(IntegratedGradients, steps=st.integers(1, 4096), baseline=fills(), draws=st.integers(1, 9))
        | st.builds(GradCam, layer=layer, relu=st.booleans())
    )
    spread = st.floats(0, 10, allow_nan=False)
    return plain | st.builds(
        SmoothGrad, of=plain, samples=st.integers(1, 99), spread=spread, seed=st.integers(0, 2**63 - 1)
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(methods())
def test_a_method_is_its_text(method: Any) -> None:
    again = METHODS.make(str(method))
    assert again == method
    assert str(again) == str(method)
    assert hash(again) == hash(method)
    assert again.describe() == method.describe()


def test_defaults_are_left_out_of_the_text() -> None:
    assert str(GradCam()) == "grad-cam"
    assert str(Occlusion(window=75, stride=75)) == "occlusion(window=75, stride=75)"
    assert str(SmoothGrad(of="grad-cam(layer=layer3)")) == "smooth-grad(of=grad-cam(layer=layer3))"
    text = "occlusion(window=75, stride=75, fill=grey, score=complement)"
    assert str(METHODS.make(text)) == "occlusion(window=75, stride=75, score=complement)"
    assert METHODS.make("integrated-gradients(steps=64, baseline=blur)") == IntegratedGradients(
        steps=64, baseline=Blur()
    )


@pytest.mark.parametrize("text", ["grad-cam", "Grad_CAM", "GRADCAM", " grad-cam ", "gradCam", "grad-cam()"])
def test_names_are_forgiving(text: str) -> None:
    assert METHODS.make(text) == GradCam()
    assert METHODS.make("saliency").name == "gradient"
    assert METHODS.make(GradCam) == METHODS.make(GradCam()) == GradCam()


@pytest.mark.parametrize("text", ["grad-cam(layer=6.10)", "grad-cam(layer=1e3)", "grad-cam(layer=true)"])
def test_a_number_that_would_come_back_otherwise_is_no_layer(text: str) -> None:
    with pytest.raises(SpecError, match="layer takes a text"):
        METHODS.make(text)
    assert METHODS.make("grad-cam(layer=3)") == GradCam(layer="3")
    assert METHODS.make("grad-cam(layer='6.10')") == GradCam(layer="6.10")
    assert METHODS.make("grad-cam(layer=none)") == GradCam(layer=None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grad-cma", "unknown method 'grad-cma': did you mean 'grad-cam'"),
        ("occlusion(windw=3)", "unknown field of occlusion 'windw': did you mean 'window'"),
        ("occlusion(score=drp)", "unknown score of occlusion 'drp': did you mean 'drop'"),
        ("occlusion(fill=gery)", "unknown fill 'gery': did you mean 'grey'"),
        ("occlusion(window=0)", "window must be"),
        ("occlusion(window=(3,))", r"window takes a .*, got \(3\)"),
        ("occlusion(window=2.5)", "window takes a whole number.*, got 2.5"),
        ("occlusion(window=3, window=5)", "window twice"),
        ("occlusion(fill=blur(sigma=0))", "sigma must be"),
        ("integrated-gradients(steps=many)", "steps takes a whole number, got many"),
        ("smooth-grad(spread=11)", "spread must be.* 0 .* 10.*, got 11"),
        ("smooth-grad(of=3)", "of takes a method, got 3"),
        ("occlusion(3)", "fields are written name=value, got '3' alone"),
        ("occlusion(window=3", r"expected '\)' at the end|expected ',' at the end|expected more"),
        ("occlusion)", "expected nothing more before"),
        ("", "expected a value"),
        ("(1, 2)", "a method is a name"),
        ('grad-cam(layer="\\q")', "not a quoted text"),
        ("grad-cam(layer=#)", "cannot read"),
        ("(" * 5000, "too many brackets|cannot read"),
    ],
)
def test_every_wrong_text_is_answered_in_one_line(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        METHODS.make(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 or len(text) > 1000


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=30) | st.text("()=,\"'ab0. -_", max_size=20))
def test_any_text_is_a_value_or_a_spec_error(text: str) -> None:
    try:
        made = METHODS.make(text)
    except SpecError:
        return
    assert METHODS.make(str(made)) == made


def test_wrong_values_are_refused_as_wrong_texts_are() -> None:
    for wrong in (
        {"steps": True},
        {"steps": "5"},
        {"steps": 1.5},
        {"baseline": 3},
        {"rule": "simpson"},
        {"steps": math.nan},
    ):
        with pytest.raises(SpecError):
            IntegratedGradients(**wrong)  # type: ignore[arg-type]
    assert IntegratedGradients(steps=5.0).steps == 5  # type: ignore[arg-type]
    assert IntegratedGradients(baseline=Blur).baseline == Blur()  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="a method is a name"):
        METHODS.make(3)  # type: ignore[arg-type]


def test_values_are_frozen_and_compare_by_fields() -> None:
    one = GradCam(layer="layer3")
    with pytest.raises(AttributeError):
        one.layer = "layer4"  # type: ignore[misc]
    assert one == GradCam(layer="layer3") != GradCam()
    assert len({one, GradCam(layer="layer3"), GradCam()}) == 2


def test_fields_reach_nested_values() -> None:
    nested = SmoothGrad(of=GradCam(), seed=3)
    assert with_fields(nested, layer="layer3", seed=9) == SmoothGrad(of=GradCam(layer="layer3"), seed=9)
    assert has_field(nested, "layer")
    assert not has_field(Occlusion(), "layer")
    assert has_field(IntegratedGradients(baseline=Uniform()), "seed")
    assert with_fields(Occlusion(), layer="layer3") == Occlusion()


def test_a_plug_in_may_name_itself_and_needs_no_defaults() -> None:
    @dataclass(frozen=True, kw_only=True)
    class MyOwnThing(Named):
        size: Annotated[int, Range(1, 5)]
        pair: tuple[int, float] = (1, 2.0)

    made = MyOwnThing(size=2, pair=[3, 4])  # type: ignore[arg-type]
    assert made.name == "my-own-thing"
    assert made.pair == (3, 4.0)
    assert str(made) == "my-own-thing(size=2, pair=(3, 4))"
    with pytest.raises(SpecError, match="size must be"):
        MyOwnThing(size=6)


def test_one_may_stand_where_several_may() -> None:
    assert METHODS.make("fused-cam(layers=layer3)") == METHODS.make("fused-cam(layers=(layer3))")
    assert METHODS.make("fused-cam(layers=none)") == METHODS.make("fused-cam")
    assert METHODS.make("extremal-perturbation(areas=0.2)").areas == (0.2,)  # type: ignore[attr-defined]
    with pytest.raises(SpecError, match=r"areas must be from 0.0001 to 1, got 2"):
        METHODS.make("extremal-perturbation(areas=2)")
    with pytest.raises(SpecError, match="areas takes a"):
        METHODS.make("extremal-perturbation(areas=wide)")


def test_too_many_are_told_the_most() -> None:
    with pytest.raises(SpecError, match="samples must be at most 1,000,000, got 1000000000"):
        METHODS.make("rise(samples=1e9)")
    with pytest.raises(SpecError, match="samples must be at least 2, got 1"):
        METHODS.make("rise(samples=1)")
    with pytest.raises(SpecError, match="until must be from 0 to 1"):
        METHODS.make("rise(until=2)")


def test_a_contrast_of_what_asks_for_no_class_is_refused() -> None:
    with pytest.raises(SpecError, match="eigen-cam asks for none"):
        METHODS.make("finer-cam(of=eigen-cam)")
