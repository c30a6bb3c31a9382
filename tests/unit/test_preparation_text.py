"""A preparation in one line: what it means, that it comes back as it was, and what is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sightline.errors import UsageError
from sightline.images.load import load
from sightline.images.prepare import Preparation

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("resize 256, crop 224, rgb, mean 0.485 0.456 0.406, std 0.229 0.224 0.225",
         {"resize": 256, "crop": (224, 224), **IMAGENET}),
        ("bgr, 0-255, mean 103.939 116.779 123.68",
         {"channels": "bgr", "scale": 1.0, "mean": (103.939, 116.779, 123.68)}),
        ("squash 224, bicubic, -1-1", {"resize": (224, 224), "interpolation": "bicubic", "scale": 127.5,
                                       "mean": (1.0,) * 3, "std": (1.0,) * 3}),
        ("Resize 300 x 200; Centre 224 ; mean 0.5; std 0.25",
         {"resize": (300, 200), "crop": (224, 224), "mean": (0.5,) * 3, "std": (0.25,) * 3}),
        ("grey, squash 28, 0 to 1, mean 0.1307, std 0.3081",
         {"resize": (28, 28), "channels": "grey", "mean": (0.1307,), "std": (0.3081,)}),
        ("resize 32, -1 to 1, upright, rounding floor",
         {"resize": 32, "scale": 127.5, "mean": (1.0,) * 3, "std": (1.0,) * 3, "exif": "apply", "rounding": "floor"}),
        ("0-255", {"scale": 1.0}),
    ],
)  # fmt: skip
def test_what_a_line_means(text: str, fields: dict[str, object]) -> None:
    assert Preparation.parse(text) == Preparation(**fields)  # type: ignore[arg-type]


def test_minus_one_to_one_is_that() -> None:
    picture = load(Image.linear_gradient("L").convert("RGB"))
    pixels, _ = Preparation.parse("-1-1").prepare(picture)
    assert (float(pixels.min()), float(pixels.max())) == (-1.0, 1.0)
    caffe, _ = Preparation.parse("bgr, 0-255, mean 103.939 116.779 123.68").prepare(picture)
    assert torch.allclose(caffe[0, :, 0, 0], torch.tensor([-103.939, -116.779, -123.68]))


sides = st.integers(1, 600)
numbers = st.floats(0.01, 200, allow_nan=False)


@st.composite
def preparations(draw: st.DrawFn) -> Preparation:
    channels = draw(st.sampled_from(["rgb", "bgr", "grey"]))
    count = 1 if channels == "grey" else 3
    values = st.lists(numbers, min_size=count, max_size=count).map(tuple) | st.just((1.0,) * count)
    return Preparation(
        resize=draw(st.none() | sides | st.tuples(sides, sides)),
        crop=draw(st.none() | st.tuples(sides, sides)),
        interpolation=draw(st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"])),
        mean=draw(values | st.just((0.0,) * count)),
        std=draw(values),
        scale=draw(st.sampled_from([255.0, 1.0, 127.5, 128.0]) | numbers),
        channels=channels,  # type: ignore[arg-type]
        exif=draw(st.sampled_from(["ignore", "apply"])),
        rounding=draw(st.sampled_from(["round", "truncate", "floor"])),
        resizer=draw(st.sampled_from(["pillow", "torch"])),
    )


@given(preparations())
@settings(max_examples=150, deadline=None)
def test_the_line_comes_back_as_it_was(preparation: Preparation) -> None:
    assert Preparation.parse(preparation.text()) == preparation


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing was said"), ("resise 256", "did you mean 'resize'"), ("resize", "needs a size"),
        ("mean a b c", "needs numbers"), ("mean 0.5 0.5", "mean has 2 numbers, expected 3"),
        ("rgb, bgr", "channels is said twice"), ("-1-1, mean 0.5", "leaves no mean"), ("std 0", "cannot be 0"),
        ("grey, mean 1 2 3", "expected 1"), ("resize 0", "above 0"), ("qqq", "known are resize"),
        ("rounding up", "unknown rounding"),
    ],
)  # fmt: skip
def test_what_is_no_preparation_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        Preparation.parse(text)
    assert "\n" not in str(caught.value)
