"""From a file, bytes, an array or a Pillow image to one upright 8-bit RGB picture, or to a `PictureError`.

Formats: JPEG (with MPO, the phones' kind: its first picture), PNG, WebP, BMP, GIF, TIFF, AVIF; nothing else is tried.
The number of pixels is taken from the header and checked before anything is decoded. Truncated files are refused.
Colour modes, alpha and bit depth follow the table in `colour.py`. Orientation (EXIF tag 274): `rgb` is upright,
`stored()` is what a pipeline without EXIF sees. Animated and many-page files: one frame, the first unless asked, noted.
Pillow's global settings are never changed, its warnings become notes.

No torch here: the command line checks pictures before torch is loaded.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from sightline.errors import PictureError
from sightline.images.arrays import Array, array_to_rgb, is_array, is_tensor
from sightline.images.colour import Colour, is_sixteen_bit_colour, key_to_eight_bits, to_rgb
from sightline.images.guard import READER_ERRORS, guarded, reason
from sightline.images.orientation import turn_back, turn_upright

Source: TypeAlias = "str | Path | bytes | Image.Image | Array | Any"

_PLUGINS = (  # imported by name, so that Pillow need not import all of its forty
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
    TiffImagePlugin.TiffImageFile,
    AvifImagePlugin.AvifImageFile,
)
FORMATS = tuple(str(plugin.format) for plugin in _PLUGINS)
MAX_PIXELS = 50_000_000
WHITE: Colour = (255, 255, 255)

_ORIENTATION = 274
_TURNED = 5  # orientations from here on exchange width and height


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, upright, as a person sees it.

    `rgb` is uint8 `h w 3` and read-only; `orientation` is 1…8 as the file has it
    (1 for TIFF, which Pillow itself turns upright); `sha256` is that of the file's bytes
    (of shape and pixels for arrays and Pillow images); `notes` are the stated rules that acted.
    """

    rgb: Array
    name: str
    sha256: str
    orientation: int = 1
    mode: str = "RGB"
    format: str = "array"
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright picture."""
        return int(self.rgb.shape[0]), int(self.rgb.shape[1])

    def stored(self) -> Array:
        """uint8 `h w 3` as stored in the file, not turned by EXIF: what a pipeline that ignores EXIF sees."""
        return turn_back(self.rgb, self.orientation)


def load(source: Source, *, max_pixels: int = MAX_PIXELS, background: Colour = WHITE, frame_index: int = 0) -> Picture:
    """One picture from a path, the bytes of a file, a Pillow image, or uint8 pixels.

    Arrays are `h w`, `h w 1`, `h w 3` or `h w 4`; tensors are `c h w` (or `1 c h w`), 1, 3 or 4 channels. A shape that
    could be either is refused. Floating-point arrays and tensors are prepared input (`is_prepared`) and not pictures.

    Raises:
        PictureError: with `kind` missing, format, truncated, corrupt, too-large, empty or shape.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, Image.Image):
        return _from_image(source, max_pixels, background)
    if is_array(source) or is_tensor(source):
        return _from_array(source, max_pixels, background)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(bytes(source)), "bytes", "bytes", (max_pixels, background, frame_index))
    if isinstance(source, str | Path):
        return _from_path(Path(source), (max_pixels, background, frame_index))
    raise PictureError(
        "shape", type(source).__name__, "a picture is a path, bytes, a Pillow image, an array or a tensor"
    )


def is_prepared(source: object) -> bool:
    """Whether `source` is prepared input: a floating-point array or tensor, given to the network as it is."""
    if is_array(source):
        return bool(np.issubdtype(source.dtype, np.floating))
    return is_tensor(source) and bool(cast(Any, source).is_floating_point())


_Limits: TypeAlias = tuple[int, Colour, int]


def upright_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of the upright picture of a file by its header; none where `load` would refuse it for that."""

    def read() -> tuple[int, int]:
        with Image.open(path, formats=FORMATS) as image:
            _check_size(image.size, MAX_PIXELS, path.name)
            width, height = image.size
            turned = not isinstance(image, TiffImagePlugin.TiffImageFile)  # whose size Pillow turns itself
            return (width, height) if turned and _orientation(image, []) >= _TURNED else (height, width)

    try:
        return guarded(read, path.name)[0] if path.is_file() else None
    except (PictureError, OSError):
        return None


def _from_path(path: Path, limits: _Limits) -> Picture:
    name = str(path)
    try:
        if path.is_dir():
            raise PictureError("missing", name, "is a folder, not a picture")
        if not path.exists():
            raise PictureError("missing", name, "no such file")
        if not path.is_file():  # a pipe or a device would be read for ever
            raise PictureError("missing", name, "is not a regular file")
        with path.open("rb") as stream:
            return _from_file(stream, path.name, name, limits)
    except (OSError, ValueError) as error:  # no permission, a name too long, a zero byte in the name
        raise PictureError("missing", name, f"cannot be opened: {reason(error)}") from error


def _from_file(stream: io.BufferedIOBase, name: str, where: str, limits: _Limits) -> Picture:
    max_pixels, background, frame_index = limits
    sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    stream.seek(0)
    start = stream.read(16)
    if not start:
        raise PictureError("empty", where, "the file is empty")

    def read() -> Picture:
        stream.seek(0)
        with Image.open(cast(Any, stream), formats=FORMATS) as image:
            _check_size(image.size, max_pixels, where)
            notes = _go_to_frame(image, frame_index, where)
            _check_size(image.size, max_pixels, where)  # pages of one TIFF differ in size
            return _decoded(image, background, (name, sha256, notes))

    picture, warned = guarded(read, where, start, FORMATS)
    return replace(picture, notes=(*picture.notes, *warned))


def _from_image(image: Image.Image, max_pixels: int, background: Colour) -> Picture:
    where = Path(str(getattr(image, "filename", "") or "Pillow image")).name

    def read() -> Picture:
        _check_size(image.size, max_pixels, where)
        picture = _decoded(image, background, (where, "", []))
        digest = hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes())
        return replace(picture, sha256=digest.hexdigest())

    picture, warned = guarded(read, where)
    return replace(picture, notes=(*picture.notes, *warned))


def _from_array(source: Any, max_pixels: int, background: Colour) -> Picture:
    values, name = array_to_rgb(source)
    _check_size((values.shape[1], values.shape[0]), max_pixels, name)
    digest = hashlib.sha256(str(values.shape).encode() + np.ascontiguousarray(values).tobytes()).hexdigest()
    mode = "L" if values.ndim == 2 else {3: "RGB", 4: "RGBA"}[values.shape[2]]
    rgb, notes = to_rgb(Image.fromarray(np.ascontiguousarray(values)), background)
    return Picture(_read_only(rgb), name, digest, mode=mode, notes=tuple(notes))


def _decoded(image: Image.Image, background: Colour, about: tuple[str, str, list[str]]) -> Picture:
    name, sha256, notes = about
    mode, form = image.mode, image.format or "array"
    sixteen = is_sixteen_bit_colour(image)
    # Pillow turns TIFF while it loads; asking others for EXIF before they are loaded would hide a broken stream
    turned = image.tag_v2.get(_ORIENTATION, 1) if isinstance(image, TiffImagePlugin.TiffImageFile) else 1
    image.load()
    if sixteen:
        notes.append("16-bit colour scaled to 8 (high byte)")
        key_to_eight_bits(image)
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        notes.append("this process has Pillow's LOAD_TRUNCATED_IMAGES set: missing data would be grey")
    if "icc_profile" in image.info:
        notes.append("ICC profile not applied")
    orientation = _orientation(image, notes)
    if orientation != 1 or turned != 1:
        notes.append(f"EXIF orientation {max(orientation, turned)}: shown upright{' by the reader' * (turned != 1)}")
    rgb, rules = to_rgb(image, background)
    upright = _read_only(turn_upright(rgb, orientation))
    return Picture(upright, name, sha256, orientation, mode, form, (*notes, *rules))


def _go_to_frame(image: Image.Image, index: int, where: str) -> list[str]:
    frames = int(getattr(image, "n_frames", 1))
    if not 0 <= index < frames:
        raise PictureError("missing", where, f"frame {index} was asked for, the file has {frames} (counted from 0)")
    if frames == 1:
        return []
    image.seek(index)
    return [f"frame {index + 1} of {frames}"]


def _orientation(image: Image.Image, notes: list[str]) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except READER_ERRORS:  # broken metadata does not make the pixels wrong; it is noted
        notes.append("EXIF cannot be read: taken as upright")
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _check_size(size: tuple[int, int], max_pixels: int, where: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise PictureError("empty", where, f"the picture is {width} × {height} pixels")
    if width * height > max_pixels:
        most = f"{max_pixels:,} pixels allowed (max_pixels)"
        raise PictureError("too-large", where, f"{width} × {height} = {width * height:,} pixels, at most {most}")


def _read_only(rgb: Array) -> Array:
    rgb = np.ascontiguousarray(rgb)
    rgb.setflags(write=False)
    return rgb
