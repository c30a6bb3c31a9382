"""The door of a network in a file: how the pictures that it takes lie in memory, as the file declares it.

A file of integers declares what they stand for: value = scale · (integer − zero). Pixels are such values; they are
rounded to the nearest integer on the way in. The default preparation of such a file makes every byte of the picture
exactly the integer that the file wants: the byte itself, or the byte − 128 where the integers are signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from sightline.errors import ModelError
from sightline.images.prepare import Preparation
from sightline.types import Pixels

Array: TypeAlias = np.ndarray[Any, Any]
Layout = Literal["b c h w", "b h w c"]

NUMBERS = ("float32", "float64", "float16", "uint8", "int8")
_MOST_CHANNELS = 4
_BYTES = 256


@dataclass(frozen=True, kw_only=True)
class Port:
    """What one file takes.

    Attributes:
        name: of the input.
        layout: how one batch lies in memory.
        batch: how many pictures come at once; None where the file leaves it free.
        channels: of a picture.
        size: height and width, each None where the file leaves it free.
        numbers: numpy's word for the type.
        scale: what one step of an integer is worth.
        zero: the integer that stands for 0.
    """

    name: str
    layout: Layout
    batch: int | None
    channels: int
    size: tuple[int | None, int | None]
    numbers: str = "float32"
    scale: float = 1.0
    zero: int = 0

    @property
    def integers(self) -> bool:
        """Whether the file takes integers."""
        return self.numbers in ("uint8", "int8")

    @property
    def fixed(self) -> tuple[int, int] | None:
        """Height and width, where the file fixes both."""
        height, width = self.size
        return (height, width) if height is not None and width is not None else None

    def check(self, pixels: Pixels) -> None:
        """Refuse pixels that the file cannot take, before its library fails on them in its own words.

        Raises:
            ModelError: another number of channels, or another size.
        """
        wanted = (self.channels, *self.size)
        if pixels.ndim != 4 or any(own not in (None, side) for own, side in zip(wanted, pixels.shape[1:], strict=True)):
            came = "×".join(map(str, pixels.shape[1:]))
            sides = "×".join("any" if side is None else str(side) for side in wanted)
            raise ModelError(f"this file takes pictures of {sides} (channels, height, width), got {came}")

    def array(self, pixels: Pixels) -> Array:
        """Pixels `b c h w` as the file wants them."""
        values = pixels.detach().to("cpu", torch.float32)
        if self.integers:
            limits = np.iinfo(self.numbers)
            values = (values / self.scale + self.zero).round().clamp(int(limits.min), int(limits.max))
        if self.layout == "b h w c":
            values = values.permute(0, 2, 3, 1)
        return np.ascontiguousarray(values.numpy().astype(self.numbers))

    def preparation(self) -> tuple[Preparation | None, str]:
        """A preparation that fits what the file declares, and the words that tell what was assumed.

        None where the file fixes no size and takes plain colours: pictures are then given at their own size.
        """
        fixed = self.fixed
        sizes: dict[str, Any] = {} if fixed is None else {"resize": min(fixed), "crop": fixed}
        size = "" if fixed is None else f", cut to {fixed[0]} × {fixed[1]}"
        if fixed is not None and fixed[0] != fixed[1]:
            sizes = {"resize": fixed}
            size = f", squeezed to {fixed[0]} × {fixed[1]}"
        colours: dict[str, Any] = {"channels": "grey", "mean": (0.0,), "std": (1.0,)} if self.channels == 1 else {}
        kind = "grey" if self.channels == 1 else "RGB"
        if self.channels not in (1, 3):
            return None, f"the file takes {self.channels} channels: give prepared input"
        if self.integers:
            signed = self.numbers == "int8"
            offset = self.zero + (_BYTES // 2 if signed else 0)
            colours |= {"scale": 1.0, "mean": (float(offset),) * self.channels}
            colours["std"] = (1 / self.scale,) * self.channels
            told = f"the file does not say how pictures are prepared: given as {kind} bytes{' − 128' * signed}{size}"
        else:
            told = f"the file does not say how pictures are prepared: given as {kind} from 0 to 1{size}"
            if fixed is None and self.channels == 3:
                return None, told
        return Preparation(exif="apply", **sizes, **colours), told


def port_of(name: str, shape: Sequence[int | None], numbers: str, scale: float = 1.0, zero: int = 0) -> Port:
    """The port of an input of this shape; the channels are the axis of 1 to 4 beside the picture.

    Raises:
        ModelError: no picture, numbers of another type, or a shape that does not show where the channels are.
    """
    words = "×".join("any" if side is None else str(side) for side in shape) or "one number"
    if numbers not in NUMBERS:
        raise ModelError(f"this file takes {numbers}, expected one of {', '.join(NUMBERS)}")
    if len(shape) != 4:
        raise ModelError(
            f"this file takes {words}, no batch of pictures (4 axes): write a function from pixels to scores that "
            "calls it, and give it to sightline.wrap"
        )
    first, last = (side is not None and 1 <= side <= _MOST_CHANNELS for side in (shape[1], shape[3]))
    if first and last:  # such as 1×3×224×3: the other reading is no picture of equal sides
        first, last = shape[2] == shape[3], shape[1] == shape[2]
    if first == last:
        raise ModelError(
            f"this file takes {words}, which does not show where the channels are (b c h w or b h w c): write a "
            "function from pixels to scores that calls it, and give it to sightline.wrap"
        )
    batch, channels = shape[0], shape[1] if first else shape[3]
    assert channels is not None
    size = (shape[2], shape[3]) if first else (shape[1], shape[2])
    layout: Layout = "b c h w" if first else "b h w c"
    return Port(
        name=name, layout=layout, batch=batch, channels=channels, size=size, numbers=numbers, scale=scale, zero=zero
    )
