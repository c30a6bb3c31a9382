"""Loading: one stated rule for each colour mode, size before decoding, orientation, one typed error for the rest."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, ImageOps

from sightline.errors import PictureError
from sightline.images.load import is_prepared, load


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def colours(height: int = 8, width: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def refused(source: Any, **options: Any) -> PictureError:
    with pytest.raises(PictureError) as caught:
        load(source, **options)
    return caught.value


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(header: tuple[int, int, int, int], rows: bytes, *extra: bytes) -> bytes:
    """A PNG written by hand: (width, height, bits, colour type) and filtered rows."""
    width, height, bits, kind = header
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# --- sources ---------------------------------------------------------------------------------------------------------


def test_the_same_picture_from_every_source(tmp_path: Path) -> None:
    pixels = colours()
    data = encoded(Image.fromarray(pixels))
    path = tmp_path / "a picture.png"
    path.write_bytes(data)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    sources = [path, str(path), data, Image.fromarray(pixels), pixels, tensor, tensor[None]]
    for source in sources:
        picture = load(source)
        assert np.array_equal(picture.rgb, pixels)
        assert picture.size == (8, 12)
        assert not picture.notes
    assert load(path).name == "a picture.png"
    assert load(path).sha256 == load(data).sha256 != load(pixels).sha256
    assert load(load(path)).sha256 == load(path).sha256


def test_a_picture_cannot_be_changed_from_outside() -> None:
    pixels = colours()
    picture = load(pixels)
    pixels[:] = 0
    assert picture.rgb.any()
    with pytest.raises(ValueError, match="read-only"):
        picture.rgb[0, 0] = 1


def test_arrays_of_grey_and_alpha() -> None:
    grey = colours()[:, :, 0]
    assert np.array_equal(load(grey).rgb, np.stack([grey] * 3, -1))
    assert np.array_equal(load(grey[:, :, None]).rgb, load(grey).rgb)
    assert np.array_equal(load(torch.from_numpy(grey)[None]).rgb, load(grey).rgb)
    clear = np.zeros((6, 5, 4), np.uint8)
    assert (load(clear).rgb == 255).all()


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (np.zeros((3, 9, 3), np.uint8), "as well as c h w"),
        (np.zeros((3, 4, 3), np.uint8), "as well as c h w"),
        (torch.zeros(3, 9, 3, dtype=torch.uint8), "as well as c h w"),
        (np.zeros((3, 9, 8), np.uint8), "transpose"),
        (torch.zeros(9, 8, 3, dtype=torch.uint8), "permute"),
        (np.zeros((9, 8, 7), np.uint8), "no axis"),
        (np.zeros((2, 9, 8, 3), np.uint8), "not one picture"),
        (np.zeros((9, 8, 3), np.int64), "int64"),
        (np.zeros((9, 8, 3), np.float32), "prepared"),
        (42, "a picture is"),
        (None, "a picture is"),
    ],
)
def test_shapes_that_are_no_picture_are_refused(source: Any, word: str) -> None:
    error = refused(source)
    assert error.kind == "shape"
    assert word in str(error)


def test_prepared_input_is_told_from_pictures() -> None:
    assert is_prepared(np.zeros((3, 8, 8), np.float32))
    assert is_prepared(torch.zeros(3, 8, 8, dtype=torch.bfloat16))
    assert not is_prepared(np.zeros((8, 8, 3), np.uint8))
    assert not is_prepared(torch.zeros(3, 8, 8, dtype=torch.uint8))
    assert not is_prepared("picture.png")


# --- orientation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_orientation_is_that_of_pillow_and_can_be_undone(orientation: int, form: str) -> None:
    stored = Image.fromarray(colours(8, 24))
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(stored, form, exif=exif)
    picture = load(data)
    with Image.open(io.BytesIO(data)) as image:
        upright, plain = np.asarray(ImageOps.exif_transpose(image)), np.asarray(image)
    assert picture.orientation == orientation
    assert np.array_equal(picture.rgb, upright)
    assert np.array_equal(picture.stored(), plain)
    assert any("EXIF" in note for note in picture.notes) == (orientation != 1)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_upright(value: int) -> None:
    exif = Image.Exif()
    exif[274] = value
    assert load(encoded(Image.fromarray(colours()), exif=exif)).orientation == 1


# --- colour ----------------------------------------------------------------------------------------------------------


def test_alpha_is_composited_on_the_declared_colour() -> None:
    pixels = np.dstack([colours(16, 16), np.arange(256, dtype=np.uint8).reshape(16, 16)])
    for background in ((255, 255, 255), (10, 200, 30)):
        picture = load(encoded(Image.fromarray(pixels)), background=background)
        alpha = pixels[:, :, 3:] / 255
        exact = pixels[:, :, :3] * alpha + np.array(background) * (1 - alpha)
        assert np.abs(picture.rgb - exact).max() <= 0.5001
        assert any("alpha composited on" in note for note in picture.notes)
    opaque = np.dstack([colours(), np.full((8, 12), 255, np.uint8)])
    assert np.array_equal(load(opaque).rgb, opaque[:, :, :3])
    assert not load(opaque).notes


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_every_mode_with_alpha_shows_the_background(mode: str) -> None:
    clear = Image.new("RGBA", (4, 3), (255, 0, 0, 0))
    for step in {"PA": [], "La": ["LA", "La"]}.get(mode, [mode]):
        clear = clear.convert(step)
    if mode == "PA":
        clear = Image.new("PA", (4, 3), (0, 0))
        clear.putpalette([255, 0, 0])
    assert clear.mode == mode
    assert (load(clear).rgb == 255).all()


def test_palette_with_a_transparent_colour() -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 1), 1)
    picture = load(encoded(image, transparency=0))
    assert picture.rgb[1, 1].tolist() == [0, 0, 255]
    assert picture.rgb[0, 0].tolist() == [255, 255, 255]
    assert load(encoded(image)).rgb[0, 0].tolist() == [255, 0, 0]


def test_key_colours_of_grey_and_colour() -> None:
    grey = load(encoded(Image.fromarray(np.array([[7, 9]], np.uint8)), transparency=7))
    assert grey.rgb[0].tolist() == [[255] * 3, [9] * 3]
    rows = b"\x00" + struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0x1111, 0x2222, 0x3333)
    deep = load(png((2, 1, 16, 2), rows, chunk(b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC))))
    assert deep.rgb[0].tolist() == [[255] * 3, [0x11, 0x22, 0x33]]
    rows = b"\x00" + struct.pack(">2H", 0x1234, 0xFF01)
    deep_grey = load(png((2, 1, 16, 0), rows, chunk(b"tRNS", struct.pack(">H", 0x1234))))
    assert deep_grey.rgb[0].tolist() == [[255] * 3, [255] * 3]
    assert load(png((2, 1, 16, 0), rows)).rgb[0].tolist() == [[0x12] * 3, [255] * 3]


@pytest.mark.parametrize("factor", [256, 257])
def test_a_sixteen_bit_ramp_keeps_its_256_levels(factor: int) -> None:
    ramp = (np.arange(256, dtype=np.uint16) * factor).reshape(16, 16)
    for image in (
        Image.fromarray(ramp),
        Image.fromarray(ramp.astype(np.int32)),
        Image.fromarray(ramp / np.float32(65280)),
    ):
        if image.mode == "F" and factor == 257:
            continue  # 257·255 / 65280 > 1 is another rule
        picture = load(image)
        assert np.array_equal(picture.rgb[:, :, 0].ravel(), np.arange(256)), image.mode
        assert (picture.rgb == picture.rgb[:, :, :1]).all()
        assert picture.notes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        naive = np.asarray(Image.fromarray(ramp.astype(np.int32)).convert("RGB"))
    assert len(np.unique(naive)) < 256  # the broken twin: what Pillow's own conversion does


def test_sixteen_bit_files_of_fewer_bits_are_noted() -> None:
    dim = Image.fromarray(np.full((4, 4), 4095, np.uint16))
    assert any("4095" in note for note in load(encoded(dim)).notes)


def test_thirty_two_bit_rules() -> None:
    def levels(values: list[float], kind: type) -> list[int]:
        return load(Image.fromarray(np.array([values], kind))).rgb[0, :, 0].tolist()

    assert levels([0, 7, 255], np.int32) == [0, 7, 255]
    assert levels([0, 65535, 32768], np.int32) == [0, 255, 128]
    assert levels([-100, 1, 100], np.int32) == [0, 129, 255]
    assert levels([5e6, 5e6], np.int32) == [0, 0]
    assert levels([0, 0.5, 1], np.float32) == [0, 128, 255]
    assert levels([0, 1.6, 254.7], np.float32) == [0, 2, 255]
    assert levels([-1, 0, 1], np.float32) == [0, 128, 255]
    assert refused(Image.fromarray(np.array([[0, np.nan]], np.float32))).kind == "corrupt"


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "1", "L", "RGBX"])
def test_other_modes_are_converted(mode: str) -> None:
    pixels = np.asarray(Image.fromarray(colours(32, 32)).convert(mode).convert("RGB"))
    picture = load(Image.fromarray(colours(32, 32)).convert(mode))
    assert picture.mode == mode
    assert np.array_equal(picture.rgb, pixels)


def test_cmyk_by_its_formula_and_through_jpeg() -> None:
    inks = np.random.default_rng(1).integers(0, 256, (16, 16, 4)).astype(np.uint8)
    exact = (255 - inks[:, :, :3].astype(float)) * (255 - inks[:, :, 3:].astype(float)) / 255
    assert np.abs(load(Image.frombytes("CMYK", (16, 16), inks.tobytes())).rgb - exact).max() <= 1
    flat = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(load(encoded(flat, "JPEG")).rgb.astype(int) - [255, 0, 0]).max() <= 3


def test_lab_agrees_with_little_cms() -> None:
    rgb = Image.fromarray(colours(32, 32))
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(rgb, to_lab)
    assert lab is not None
    difference = np.abs(load(lab).rgb.astype(int) - np.asarray(rgb).astype(int))
    assert difference.mean() < 2  # 8-bit LAB itself rounds away about one level
    assert difference.max() <= 12


def test_icc_profiles_are_noted_and_not_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = load(encoded(Image.fromarray(colours()), icc_profile=profile))
    assert np.array_equal(picture.rgb, colours())
    assert "ICC profile not applied" in picture.notes


def test_animated_pictures_give_the_frame_that_is_asked() -> None:
    frames = [Image.new("L", (6, 4), 20 * (index + 1)) for index in range(5)]
    for form in ("GIF", "TIFF", "PNG"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert load(data).notes[0] == "frame 1 of 5"
        assert load(data).rgb[0, 0, 0] == 20
        assert load(data, frame_index=3).rgb[0, 0, 0] == 80
        assert refused(data, frame_index=5).kind == "missing"


def test_phone_pictures_with_a_second_picture_give_the_first() -> None:
    first, second = Image.new("RGB", (16, 16), (200, 0, 0)), Image.new("RGB", (16, 16), (0, 200, 0))
    picture = load(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert picture.format == "MPO"
    assert picture.rgb[0, 0, 0] > 190
    assert "frame 1 of 2" in picture.notes


# --- refusals --------------------------------------------------------------------------------------------------------


def test_missing_and_unreadable_paths(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.png").kind == "missing"
    assert refused(tmp_path).kind == "missing"
    assert refused("/dev/null").kind == "missing"
    assert refused("a\0b").kind == "missing"
    empty = tmp_path / "empty.jpg"
    empty.touch()
    assert refused(empty).kind == "empty"
    assert str(empty) in str(refused(empty))


@pytest.mark.parametrize("data", [b"<svg xmlns='x'/>", b"<html></html>", b"%!PS-Adobe", b"P6 1 1 255 abc", b"\0" * 100])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    assert refused(data).kind == "format"


def test_formats_outside_the_list_are_refused_although_pillow_reads_them() -> None:
    for form in ("PPM", "TGA", "ICO", "PCX", "JPEG2000"):
        assert refused(encoded(Image.fromarray(colours(16, 16)), form)).kind == "format"
    for form in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"):
        assert load(encoded(Image.fromarray(colours(16, 16)), form)).format == form


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_truncated_files_are_refused(form: str) -> None:
    data = encoded(Image.fromarray(colours(64, 64)), form)
    for part in (0.9, 0.5, 0.1):
        assert refused(data[: int(len(data) * part)]).kind in ("truncated", "corrupt", "format")


def test_size_is_checked_before_decoding() -> None:
    bomb = png((30_000, 20_000, 8, 2), b"")
    error = refused(bomb)
    assert error.kind == "too-large"
    assert "600,000,000" in str(error)
    assert refused(png((8000, 8000, 1, 0), b"")).kind == "too-large"
    assert refused(encoded(Image.fromarray(colours())), max_pixels=95).kind == "too-large"
    assert load(encoded(Image.fromarray(colours())), max_pixels=96).size == (8, 12)
    assert refused(colours(), max_pixels=95).kind == "too-large"
    assert refused(Image.fromarray(colours()), max_pixels=95).kind == "too-large"
    assert refused(np.zeros((0, 5, 3), np.uint8)).kind == "empty"


def test_pages_of_another_size_are_checked_too() -> None:
    data = encoded(Image.new("L", (4, 4)), "TIFF", save_all=True, append_images=[Image.new("L", (100, 100))])
    assert load(data, max_pixels=1000).size == (4, 4)
    assert refused(data, max_pixels=1000, frame_index=1).kind == "too-large"


def test_the_smallest_picture() -> None:
    assert load(encoded(Image.new("L", (1, 1), 7))).rgb.tolist() == [[[7, 7, 7]]]


def test_pillow_is_left_as_found_and_warnings_do_not_leak() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    broken = encoded(Image.fromarray(colours(32, 32)), "TIFF")[:-200]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        refused(broken)
        refused(png((10_000, 10_000, 1, 0), b""))
        assert list(warnings.filters) == filters
    assert not caught
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before


def test_a_process_that_accepts_truncated_files_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert any("LOAD_TRUNCATED_IMAGES" in note for note in load(encoded(Image.fromarray(colours()))).notes)


def test_threads_leave_the_warnings_filters_as_they_were() -> None:
    before = list(warnings.filters)
    data = encoded(Image.fromarray(colours(32, 32)))
    threads = [threading.Thread(target=lambda: [load(data) for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_broken_bytes_end_in_a_picture_or_a_typed_error(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]))
    good = bytearray(encoded(Image.fromarray(colours()), form))
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            outcome: Any = load(bytes(good))
        except PictureError as error:
            outcome = error
    if isinstance(outcome, PictureError):
        assert outcome.kind in {"format", "truncated", "corrupt", "too-large", "empty"}
    else:
        assert outcome.rgb.dtype == np.uint8
        assert outcome.rgb.shape == (*outcome.size, 3)


def test_loading_needs_no_torch() -> None:
    code = "import sys, sightline.images.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
