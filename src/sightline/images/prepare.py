"""From a picture to what the network takes: resize, crop and normalise as one value, with the exact way back.

    seen   = picture upright or as stored (`exif`), as RGB or grey (`channels`)
    sized  = resize(seen) to a shortest side or to an exact (height, width), in 8 bits
    cut    = centre crop, with a black border where the picture is too small
    pixels = ((cut / scale) − mean) / std, channel by channel, in the network's order of channels

The defaults are the identity: the picture at its own size with values 0…1, for networks that take any size.
"""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image

from sightline.errors import PictureError, UsageError
from sightline.images.frame import Frame
from sightline.images.load import Picture, is_prepared
from sightline.images.orientation import turned_size
from sightline.images.preparation_text import fields_of, text_of
from sightline.images.values import ValueRange

Array: TypeAlias = np.ndarray[Any, Any]
Size: TypeAlias = tuple[int, int]

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
_TORCH_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic", "lanczos": "lanczos"}
MAX_RESIZED_PIXELS = 50_000_000  # a picture of 1 × 30,000 pixels would be enlarged to gigabytes


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a network wants its pictures.

    resize: shortest side in pixels (the other is cut to a whole number), or an exact (height, width), or None.
    crop: (height, width) of the centre that is kept, or None.
    scale: what the 8-bit values are divided by.
    mean, std: one value a channel, in the network's order of channels.
    exif: `ignore` feeds the picture as stored (torchvision, timm), `apply` feeds it upright (Hugging Face).
    rounding: an odd remainder of the crop: `round` (half to even; torchvision, timm), `truncate` (towards zero; Hugging
        Face with torchvision), `floor` (Hugging Face with Pillow).
    resizer: `pillow` (antialiased, what torchvision does to Pillow images) or `torch` (antialiased on 8-bit tensors).
    """

    resize: int | Size | None = None
    crop: Size | None = None
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 255.0
    channels: Literal["rgb", "bgr", "grey"] = "rgb"
    exif: Literal["ignore", "apply"] = "ignore"
    rounding: Literal["round", "truncate", "floor"] = "round"
    resizer: Literal["pillow", "torch"] = "pillow"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        count = 1 if self.channels == "grey" else 3
        sides = [side for side in (self.resize, self.crop) if side is not None]
        known = _TORCH_MODES if self.resizer == "torch" else INTERPOLATIONS
        _require(all(_is_size(side) for side in sides), f"sizes are whole numbers above 0, got {sides}")
        _require(self.crop is None or not isinstance(self.crop, int), "crop is a (height, width)")
        _require(self.interpolation in known, f"interpolation is one of {', '.join(known)}, got {self.interpolation!r}")
        _require(len(self.mean) == len(self.std) == count, f"mean and std have {count} values for {self.channels}")
        _require(all(map(math.isfinite, (*self.mean, *self.std, self.scale))), "mean, std and scale are finite numbers")
        _require(all(value != 0 for value in (*self.std, self.scale)), "std and scale cannot be 0")
        _require(self.channels in ("rgb", "bgr", "grey"), f"channels is rgb, bgr or grey, got {self.channels!r}")
        _require(self.exif in ("ignore", "apply"), f"exif is ignore or apply, got {self.exif!r}")
        _require(self.rounding in ("round", "truncate", "floor"), f"unknown rounding {self.rounding!r}")
        _require(self.resizer in ("pillow", "torch"), f"resizer is pillow or torch, got {self.resizer!r}")

    @classmethod
    def parse(cls, text: str) -> Preparation:
        """The preparation that a line of text stands for (`sightline.images.preparation_text`).

        Raises:
            UsageError: a word that is not known, or numbers that do not fit.
        """
        return cls(**fields_of(text))

    def text(self) -> str:
        """The line of text that stands for it: `Preparation.parse` gives the same value again."""
        return text_of(self)

    def prepare(self, picture: Picture) -> tuple[torch.Tensor, Frame]:
        """The network's input, float32 `1 c h w`, and where it lies in the picture.

        Raises:
            PictureError: the picture is so narrow that the resize would make it enormous (kind `too-large`).
        """
        frame = self.frame(picture)
        seen: Array = picture.rgb if self.exif == "apply" else picture.stored()
        if self.channels == "grey":
            seen = np.asarray(Image.fromarray(np.ascontiguousarray(seen)).convert("L"))[:, :, None]
        cut = _crop(self._resized(seen, frame.resized), frame)
        values = torch.from_numpy(cut.transpose(2, 0, 1).copy()).to(torch.float32).div(self.scale)
        if self.channels == "bgr":
            values = values.flip(0)
        return values.sub(_column(self.mean)).div(_column(self.std)).unsqueeze(0), frame

    def frame(self, picture: Picture) -> Frame:
        """Where the network's input lies in the picture."""
        turn = 1 if self.exif == "apply" else picture.orientation
        size = turned_size(picture.size, turn)
        resized = self._resized_size(size)
        if resized[0] * resized[1] > MAX_RESIZED_PIXELS and resized != size:
            reason = (
                f"{size[1]} × {size[0]} pixels would be resized to {resized[1]} × {resized[0]}; crop the picture first"
            )
            raise PictureError("too-large", picture.name, reason)
        cut = self.crop or resized
        top, left = (_offset(side, kept, self.rounding) for side, kept in zip(resized, cut, strict=True))
        return Frame(picture.size, turn, resized, top, left, cut)

    def values(self) -> ValueRange:
        """Black, white and the mean colour in the network's units."""
        return ValueRange.of(self.mean, self.std, 255 / self.scale)

    def display(self, pixels: torch.Tensor) -> Array:
        """Prepared pixels `c h w` (or `1 c h w`) as uint8 `h w 3` for drawing: normalisation undone, clipped."""
        if pixels.ndim == 4 and pixels.shape[0] == 1:
            pixels = pixels[0]
        if pixels.ndim != 3 or pixels.shape[0] != len(self.mean):
            raise UsageError(f"display takes {len(self.mean)} h w, got {' '.join(map(str, pixels.shape))}")
        values = pixels.detach().to("cpu", torch.float32) * _column(self.std) + _column(self.mean)
        if self.channels == "bgr":
            values = values.flip(0)
        levels = (values * self.scale).round().clamp(0, 255).to(torch.uint8)
        return levels.expand(3, -1, -1).permute(1, 2, 0).numpy().copy()

    def _resized_size(self, size: Size) -> Size:
        if self.resize is None:
            return size
        if not isinstance(self.resize, int):
            return self.resize
        long = int(self.resize * max(size) / min(size))
        return (long, self.resize) if size[1] <= size[0] else (self.resize, long)

    def _resized(self, seen: Array, size: Size) -> Array:
        if seen.shape[:2] == size:
            return seen
        if self.resizer == "torch":
            return _resize_torch(seen, size, _TORCH_MODES[self.interpolation])
        image = Image.fromarray(np.ascontiguousarray(seen[:, :, 0] if seen.shape[2] == 1 else seen))
        resized = np.asarray(image.resize((size[1], size[0]), INTERPOLATIONS[self.interpolation]))
        return resized.reshape(*size, seen.shape[2])


def as_pixels(source: Any) -> torch.Tensor:
    """Prepared input, a floating-point array or tensor `c h w` or `b c h w`, as float tensor `b c h w`, as it is.

    Raises:
        UsageError: not floating point, or not of that shape.
    """
    if not is_prepared(source):
        raise UsageError(f"prepared input is a floating-point array or tensor, got {type(source).__name__}")
    pixels = _as_tensor(source)
    if pixels.ndim == 3:
        pixels = pixels.unsqueeze(0)
    if pixels.ndim == 4 and pixels.shape[-1] in (1, 3, 4) and pixels.shape[1] > 4:
        raise UsageError(
            f"prepared input is c h w, and {' × '.join(map(str, source.shape))} looks like h w c: "
            "move the channels first, or give the picture as uint8"
        )
    if pixels.ndim != 4 or 0 in pixels.shape:
        raise UsageError(f"prepared input is c h w or b c h w, got {' × '.join(map(str, source.shape))}")
    return pixels


def _as_tensor(source: Any) -> torch.Tensor:
    """Floating-point values as a dense tensor: in half precision as they came, in every other as float32."""
    if isinstance(source, np.ndarray):  # of any byte order and width, of which torch knows some
        return torch.from_numpy(np.array(source, np.float16 if source.dtype.itemsize == 2 else np.float32))
    if source.is_meta or source.layout != torch.strided or source.is_quantized:
        what = "a meta tensor, without values" if source.is_meta else "a sparse or quantised tensor"
        raise UsageError(f"prepared input is an ordinary tensor, and {what} came")
    half = source.dtype in (torch.float16, torch.bfloat16)
    pixels: torch.Tensor = source.detach()
    return pixels if half else pixels.to(torch.float32)


def _offset(side: int, kept: int, rounding: str) -> int:
    """The first row (or column) of a centre crop; negative where the crop is larger and a border is added."""
    if rounding == "floor":
        return (side - kept) // 2
    if kept > side or rounding == "truncate":
        return int((side - kept) / 2)
    return round((side - kept) / 2)


def _crop(values: Array, frame: Frame) -> Array:
    height, width = frame.input
    top, left = max(frame.top, 0), max(frame.left, 0)
    part = values[top : max(frame.top + height, 0), left : max(frame.left + width, 0)]
    if part.shape[:2] == frame.input:
        return part
    cut = np.zeros((height, width, values.shape[2]), values.dtype)
    row, column = top - frame.top, left - frame.left
    cut[row : row + part.shape[0], column : column + part.shape[1]] = part
    return cut


def _resize_torch(seen: Array, size: Size, mode: str) -> Array:
    pixels = torch.from_numpy(seen.transpose(2, 0, 1).copy()).unsqueeze(0)
    smooth = mode != "nearest-exact"
    if mode == "bilinear" and not _has_fast_bytes():
        pixels = pixels.to(torch.float32)
    options = {"align_corners": False, "antialias": True} if smooth else {}
    resized = torch.nn.functional.interpolate(pixels, size=size, mode=mode, **options)
    if resized.dtype != torch.uint8:
        resized = resized.round().clamp(0, 255).to(torch.uint8)
    return resized[0].permute(1, 2, 0).numpy()


def _has_fast_bytes() -> bool:
    """Where torchvision resizes bytes as bytes; elsewhere it goes through float32, which rounds differently."""
    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") or platform.machine() in ("aarch64", "arm64")


def _column(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


def _is_size(side: Any) -> bool:
    sides = side if isinstance(side, tuple) and len(side) == 2 else (side,)
    return all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in sides)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise UsageError(f"preparation: {message}")
