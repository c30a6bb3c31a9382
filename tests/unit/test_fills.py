"""Fills: each by its definition, in the network's units, and the same for a picture whatever its batch mates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import SpecError, UsageError
from sightline.images.fills import FILLS, Black, Blur, Fill, Gaussian, Grey, MaxDistance, Mean, Uniform, White
from sightline.images.load import load
from sightline.images.prepare import Preparation
from sightline.images.values import ValueRange

PREPARATION = Preparation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
VALUES = PREPARATION.values()


def prepared(height: int = 9, width: int = 7, count: int = 3) -> torch.Tensor:
    random = np.random.default_rng(0)
    pictures = [load(random.integers(0, 256, (height, width, 3)).astype(np.uint8)) for _ in range(count)]
    return torch.cat([PREPARATION.prepare(one)[0] for one in pictures])


def test_colours_are_those_that_a_person_sees() -> None:
    pixels = prepared()
    for fill, colour in ((Black(), 0), (White(), 255), (Grey(), 128)):
        assert (PREPARATION.display(fill.make(pixels, VALUES)[1]) == colour).all()
    mean = PREPARATION.display(Mean().make(pixels, VALUES)[0])
    assert np.abs(mean[0, 0] - np.array([0.485, 0.456, 0.406]) * 255).max() <= 0.5
    assert not Mean().make(pixels, VALUES).any()
    assert not torch.allclose(Grey().make(pixels, VALUES), Mean().make(pixels, VALUES), atol=0.01)


def test_without_normalisation_the_mean_is_grey() -> None:
    pixels = torch.rand(2, 3, 4, 5)
    assert (Mean().make(pixels, ValueRange.unit()) == 0.5).all()
    assert (Mean().make(pixels, Preparation().values()) == 0.5).all()
    assert (Black().make(pixels[:, :1], ValueRange.unit()) == 0).all()


@pytest.mark.parametrize("name", list(FILLS))
@pytest.mark.parametrize("shape", [(1, 3, 1, 60), (2, 3, 5, 1), (3, 3, 9, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_fill_keeps_shape_and_type_and_changes_nothing(
    name: str, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    before, state = pixels.clone(), torch.random.get_rng_state()
    filled = FILLS.make(name).make(pixels, VALUES)
    assert filled.shape == pixels.shape
    assert filled.dtype == dtype
    assert torch.equal(pixels, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    filled.zero_()  # writable, and no other picture of the batch hangs on it
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("name", list(FILLS))
def test_a_picture_does_not_depend_on_its_batch_mates(name: str) -> None:
    pixels, fill = prepared(), FILLS.make(name)
    together = fill.make(pixels, VALUES)
    assert torch.equal(together, fill.make(pixels, VALUES))
    for index in range(len(pixels)):
        alone = fill.make(pixels[index : index + 1], VALUES)
        assert torch.allclose(together[index : index + 1], alone, atol=1e-6)
    assert torch.allclose(fill.make(pixels.flip(0), VALUES), together.flip(0), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.3, 12))
def test_blur_agrees_with_a_slow_blur(height: int, width: int, sigma: float) -> None:
    image = np.random.default_rng(height * width).normal(size=(height, width))
    blurred = Blur(sigma=sigma).make(torch.from_numpy(image)[None, None], ValueRange.unit())[0, 0].numpy()
    assert np.allclose(blurred, slow_blur(slow_blur(image, sigma).T, sigma).T, atol=1e-9)
    assert np.isclose(blurred.mean(), image.mean())  # mirrored edges lose nothing


def slow_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Along the rows' axis: pad by mirroring, then add shifted copies."""
    radius = int(4 * sigma + 0.5)
    padded = np.pad(image, ((radius, radius), (0, 0)), mode="symmetric")
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    shifted = [padded[k : k + len(image)] * weight for k, weight in enumerate(weights / weights.sum())]
    return np.sum(shifted, axis=0)


def test_blur_agrees_with_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    image = np.random.default_rng(3).normal(size=(37, 53))
    for sigma in (1.0, 10.0):
        ours = Blur(sigma=sigma).make(torch.from_numpy(image)[None, None], ValueRange.unit())[0, 0].numpy()
        assert np.allclose(ours, ndimage.gaussian_filter(image, sigma), atol=1e-9)


def test_uniform_covers_the_range_and_follows_its_seed() -> None:
    pixels = prepared(64, 64)
    drawn = Uniform().make(pixels, VALUES)
    low, high, _ = VALUES.like(pixels)
    share = (drawn - low) / (high - low)
    assert share.min() >= 0
    assert share.max() <= 1
    assert abs(share.mean() - 0.5) < 0.01
    assert abs(share.std() - 12**-0.5) < 0.01
    assert not torch.equal(drawn, Uniform(seed=1).make(pixels, VALUES))


def test_gaussian_is_noise_around_the_picture_within_the_range() -> None:
    low, high, _ = VALUES.like(prepared())
    middle = ((low + high) / 2).expand(1, 3, 64, 64)
    noise = (Gaussian(sigma=0.05).make(middle, VALUES) - middle) / (high - low)
    assert abs(noise.std() - 0.05) < 0.002
    loud = Gaussian(sigma=5).make(prepared(), VALUES)
    assert (loud >= low).all()
    assert (loud <= high).all()
    assert torch.allclose(Gaussian(sigma=0).make(prepared(), VALUES), prepared(), atol=1e-6)


def test_max_distance_is_the_farther_end() -> None:
    pixels = prepared()
    low, high, _ = VALUES.like(pixels)
    far = MaxDistance().make(pixels, VALUES)
    assert ((far == low) | (far == high)).all()
    assert ((far - pixels).abs() >= torch.maximum(pixels - low, high - pixels) - 1e-5).all()


def test_fills_have_a_text_form() -> None:
    assert FILLS.make("blur(sigma=5)") == Blur(sigma=5)
    assert str(Blur(sigma=5)) == "blur(sigma=5)"
    assert str(FILLS.make("Max_Distance")) == "max-distance"
    assert FILLS.make("gray") == Grey()
    assert FILLS.make("uniform(seed=7)") == Uniform(seed=7)
    assert all(issubclass(kind, Fill) and kind.__doc__ for kind in FILLS.values())
    for wrong in ("blurr", "blur(sigma=0)", "blur(size=3)", "uniform(seed=-1)"):
        with pytest.raises(SpecError):
            FILLS.make(wrong)


def test_ranges_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="3 channels, the pixels have 1"):
        Grey().make(torch.zeros(1, 1, 4, 4), VALUES)
    with pytest.raises(UsageError, match="b c h w"):
        Blur().make(torch.zeros(3, 4, 4), VALUES)
