"""The preparation of a Hugging Face image processor: read from its settings, then checked against the processor itself.

Transformers is not imported: a processor is read by its attributes and called on two probe pictures.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from sightline.errors import ModelError, UsageError
from sightline.images.load import load
from sightline.images.prepare import Preparation

Fields: TypeAlias = dict[str, Any]

WAY_OUT = "give preparation=Preparation(...) yourself"
_PROBES = ((301, 211), (147, 263))  # odd sizes, one upright and one wide, so that every rounding shows
_TOLERANCE = 1e-3


def make_preparation(source: str, **fields: Any) -> Preparation:
    """A preparation from what `source` says, with its name in the error.

    Raises:
        ModelError: the fields do not make a preparation.
    """
    try:
        return Preparation(**fields)
    except UsageError as error:
        raise ModelError(f"{source}: {error}") from error


def from_processor(processor: Any) -> Preparation:
    """The preparation of a Hugging Face image processor, read from its settings and checked against it.

    Pictures are fed upright (`exif="apply"`), as Hugging Face's pipelines do.

    Raises:
        ModelError: the processor pads, or its pixels differ from ours by more than 1e-3 on one of two probe pictures.
    """
    name = type(processor).__name__
    try:
        fields = _processor_fields(processor)
    except (AttributeError, TypeError, KeyError, ValueError) as error:  # a setting that is missing or of another kind
        raise ModelError(f"cannot read the settings of {name} ({error}): {WAY_OUT}") from error
    preparation = make_preparation(name, **fields)
    difference = _worst_difference(preparation, processor)
    if not difference <= _TOLERANCE:
        raise ModelError(
            f"{name} does something that its settings do not tell (pixels differ by {difference:.3g}): {WAY_OUT}"
        )
    return preparation


def _processor_fields(processor: Any) -> Fields:
    if getattr(processor, "do_pad", None):
        raise ModelError(f"{type(processor).__name__} pads its pictures, which is not supported: {WAY_OUT}")
    torch_resizer = _uses_torchvision(processor)
    fields: Fields = {
        "exif": "apply",
        "resizer": "torch" if torch_resizer else "pillow",
        "rounding": "truncate" if torch_resizer else "floor",
        "channels": "bgr" if getattr(processor, "do_flip_channel_order", False) else "rgb",
    }
    if getattr(processor, "do_resize", False):
        fields["interpolation"] = Image.Resampling(int(processor.resample)).name.lower()
        fields |= _processor_size(processor)
    if getattr(processor, "do_center_crop", False):
        fields["crop"] = _size_dict(processor.crop_size)
    return fields | _processor_values(processor)


def _processor_size(processor: Any) -> Fields:
    size, percentage = dict(processor.size), getattr(processor, "crop_pct", None)
    if not size.get("shortest_edge"):
        return {"resize": _size_dict(size)}
    side = int(size["shortest_edge"])
    kind = type(processor).__name__
    if kind.startswith("Levit"):
        return {"resize": int((256 / 224) * side)}
    if percentage is None:
        return {"resize": side}
    if kind.startswith("PoolFormer"):
        return {"resize": int(side / percentage)}
    # ConvNeXT: below 384 a centre crop of a larger picture, from 384 on squashed to a square
    return {"resize": int(side / percentage), "crop": (side, side)} if side < 384 else {"resize": (side, side)}


def _processor_values(processor: Any) -> Fields:
    """scale, mean and std, also where a processor normalises twice (EfficientNet: offset and `include_top`)."""
    scale = 1 / processor.rescale_factor if getattr(processor, "do_rescale", False) else 1.0
    mean, std = np.zeros(3), np.ones(3)
    if getattr(processor, "do_normalize", False):
        mean, std = np.broadcast_to(processor.image_mean, 3), np.broadcast_to(processor.image_std, 3)
    offset = 1.0 if getattr(processor, "rescale_offset", False) else 0.0
    mean = mean + offset
    if getattr(processor, "include_top", False):
        std = std * np.broadcast_to(processor.image_std, 3)
    return {"scale": scale, "mean": tuple(mean), "std": tuple(std)}


def _uses_torchvision(processor: Any) -> bool:
    backend = getattr(processor, "backend", None)
    return backend == "torchvision" if isinstance(backend, str) else type(processor).__name__.endswith("Fast")


def _worst_difference(preparation: Preparation, processor: Any) -> float:
    """The largest difference from the processor itself over the probe pictures; infinite if the shapes differ."""
    worst = 0.0
    for height, width in _PROBES:
        probe = _probe(height, width)
        ours, _ = preparation.prepare(load(probe))
        try:
            theirs = processor(images=Image.fromarray(probe), return_tensors="pt")["pixel_values"]
        except Exception as error:  # code of others: whatever it raises, its pixels cannot be compared
            raise ModelError(f"{type(processor).__name__} fails on a plain RGB picture ({error}): {WAY_OUT}") from error
        if tuple(theirs.shape) != tuple(ours.shape):
            return math.inf
        worst = max(worst, float((theirs.to(torch.float32) - ours).abs().max()))
    return worst


def _probe(height: int, width: int) -> Any:
    """A picture with slopes, edges and noise in colours that differ, so that nothing cancels."""
    random = np.random.default_rng(height)
    rows, columns = np.mgrid[:height, :width]
    slopes = np.stack([rows * 255 / height, columns * 255 / width, (rows // 16 + columns // 16) % 2 * 255], axis=-1)
    return (0.7 * slopes + 0.3 * random.integers(0, 256, (height, width, 3))).astype(np.uint8)


def _size_dict(size: Any) -> tuple[int, int]:
    sides = dict(size)
    return int(sides["height"]), int(sides["width"])
