"""Files that break image readers: each ends in the right picture or in a `PictureError`, soon and quietly."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from sightline.errors import PictureError
from sightline.images.load import FORMATS, Picture, load

pytestmark = pytest.mark.real

ALLOWED = {*FORMATS, "MPO"}


@pytest.fixture(scope="module")
def outcomes(data_dir: Path) -> dict[str, Picture | PictureError]:
    """What became of each file; every check of time, warnings and flags is made on the way."""
    found: dict[str, Picture | PictureError] = {}
    flags = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for path in sorted((data_dir / "hostile").iterdir()):
            start = time.perf_counter()
            try:
                found[path.name] = load(path)
            except PictureError as error:
                found[path.name] = error
            assert time.perf_counter() - start < 5, path.name
            assert flags == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES), path.name
    assert not caught, [str(warning.message) for warning in caught]
    return found


@pytest.fixture(scope="module")
def verdicts(data_dir: Path) -> dict[str, str]:
    """Pillow's word on each file, from the table beside them."""
    lines = (data_dir / "hostile.tsv").read_text().splitlines()
    return dict(line.split("\t", 1) for line in lines if line and not line.startswith("#"))


def test_every_file_ends_in_a_picture_or_a_typed_error(outcomes: dict[str, Picture | PictureError]) -> None:
    assert len(outcomes) > 300
    kinds = {outcome.kind for outcome in outcomes.values() if isinstance(outcome, PictureError)}
    assert kinds == {"format", "truncated", "corrupt", "too-large"}
    for name, outcome in outcomes.items():
        if isinstance(outcome, PictureError):
            assert len(outcome.reason) > 10, name
            assert "\n" not in str(outcome), name
        else:
            assert outcome.rgb.dtype == np.uint8, name
            assert outcome.rgb.shape == (*outcome.size, 3), name


def test_what_pillow_reads_is_read_and_what_it_refuses_is_refused(
    outcomes: dict[str, Picture | PictureError], verdicts: dict[str, str]
) -> None:
    pictures = 0
    for name, verdict in verdicts.items():
        outcome, words = outcomes[name], verdict.split()
        if words[0] == "OK" and words[1] in ALLOWED:
            assert isinstance(outcome, Picture), (name, outcome)
            width, height = map(int, words[3].split("x"))
            assert outcome.stored().shape[:2] == (height, width), name
            assert (outcome.format, outcome.mode) == (words[1], words[2]), name
            pictures += 1
        else:
            assert isinstance(outcome, PictureError), (name, verdict)
    assert pictures > 150


def test_pixels_equal_an_independent_conversion(data_dir: Path, outcomes: dict[str, Picture | PictureError]) -> None:
    compared = 0
    for name, outcome in outcomes.items():
        if isinstance(outcome, Picture):
            expected = plainly(data_dir / "hostile" / name)
            assert np.abs(outcome.rgb.astype(int) - expected).max() <= 1, (name, outcome.notes)
            compared += 1
    assert compared > 150


def plainly(path: Path) -> np.ndarray:
    """The same rules written another way: floats, `exif_transpose`, one case a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            deep_key = image.info.get("transparency") if "16" in str(image.tile) else None
            image.load()
            upright = ImageOps.exif_transpose(image)
    values = np.asarray(upright).astype(np.float64)
    if upright.mode.startswith("I;16"):
        levels = np.where(values == deep_key, 255, values // 256) if isinstance(deep_key, int) else values // 256
        return np.dstack([levels] * 3)
    if upright.mode == "I":  # one signed 16-bit TIFF
        low, high = values.min(), values.max()
        levels = values // 256 if low >= 0 else (values - low) / (high - low) * 255
        return np.dstack([levels] * 3)
    if isinstance(deep_key, tuple):
        key = np.array(deep_key) // 256
        return np.where((values == key).all(-1, keepdims=True), 255, values)
    rgba = np.asarray(upright.convert("RGBA")).astype(np.float64)
    alpha = rgba[:, :, 3:] / 255
    return rgba[:, :, :3] * alpha + 255 * (1 - alpha)
