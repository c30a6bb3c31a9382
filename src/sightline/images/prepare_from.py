"""Preparations taken from torchvision's presets and transforms, timm's data configs and Hugging Face's processors.

None of these libraries is imported: their objects are read by their attributes. What cannot be expressed exactly is
refused by name, never approximated. `from_processor` lives in `processor.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch

from sightline.errors import ModelError, UsageError
from sightline.images.prepare import Preparation
from sightline.images.processor import WAY_OUT, from_processor, make_preparation

Fields: TypeAlias = dict[str, Any]

__all__ = ["as_preparation", "from_processor", "from_timm", "from_torchvision"]


def from_torchvision(transform: Any) -> Preparation:
    """The preparation of `weights.transforms()`, or of a `Compose` of Resize, CenterCrop, ToTensor, Normalize.

    `transform` acts on Pillow images, as torchvision's own references do; its pixels are equal to ours.

    Raises:
        ModelError: another transform, another order, or options that a `Preparation` does not have.
    """
    names = {cls.__name__ for cls in type(transform).__mro__}
    if "ImageClassification" in names:
        return make_preparation(
            "torchvision preset",
            resize=_side(transform.resize_size),
            crop=_size(transform.crop_size),
            interpolation=_interpolation(transform.interpolation),
            mean=tuple(transform.mean),
            std=tuple(transform.std),
        )
    if "Compose" not in names:
        raise ModelError(f"cannot take a preparation from {type(transform).__name__}: {WAY_OUT}")
    return make_preparation("Compose", **_composed(list(transform.transforms)))


def from_timm(config: Mapping[str, Any]) -> Preparation:
    """The preparation of timm's evaluation transform for a data config (`timm.data.resolve_data_config`).

    crop_mode `center`: shortest side ⌊size / crop_pct⌋, then the centre; `squash`: both sides, then the centre.

    Raises:
        ModelError: crop_mode `border`, a centre crop that is not square, other than three channels, or missing keys.
    """
    missing = [key for key in ("input_size", "mean", "std") if key not in config]
    if missing:
        raise ModelError(f"a timm config has input_size, mean and std; {', '.join(missing)} is missing: {WAY_OUT}")
    channels, height, width = config["input_size"]
    percentage = config.get("crop_pct") or 0.875
    mode = config.get("crop_mode") or "center"
    grown = (math.floor(height / percentage), math.floor(width / percentage))
    if channels != 3:
        raise ModelError(f"timm config with {channels} channels is not supported: {WAY_OUT}")
    if mode not in ("center", "squash"):
        raise ModelError(f"timm crop_mode {mode!r} is not supported: {WAY_OUT}")
    if mode == "center" and grown[0] != grown[1]:
        raise ModelError(f"timm crop_mode 'center' with a size of {height} × {width} is not supported: {WAY_OUT}")
    return make_preparation(
        "timm config",
        resize=grown if mode == "squash" else grown[0],
        crop=(height, width),
        interpolation=config.get("interpolation") or "bilinear",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def as_preparation(given: Any) -> Preparation | None:
    """A `Preparation` from whatever holds one: itself, a line of text, a transform, a timm config, a processor.

    Raises:
        ModelError: nothing of these, a line that says nothing, or one that cannot be expressed exactly.
    """
    if given is None or isinstance(given, Preparation):
        return given
    if isinstance(given, str):
        try:
            return Preparation.parse(given)
        except UsageError as error:
            raise ModelError(str(error)) from error
    if isinstance(given, Mapping):
        return from_timm(given)
    if hasattr(given, "image_mean") or hasattr(given, "do_resize"):
        return from_processor(given)
    return from_torchvision(given)


def _composed(steps: list[Any]) -> Fields:
    """The fields that a list of transforms stands for; the order resize, crop, tensor, normalise is enforced."""
    fields: Fields = {}
    stage = 0
    for step in steps:
        name = type(step).__name__
        if name not in _STAGES or _STAGES[name][0] < stage:
            problem = "comes too late" if name in _STAGES else "is not supported"
            raise ModelError(
                f"{name} in a Compose {problem}: expected Resize, CenterCrop, ToTensor, Normalize, or {WAY_OUT}"
            )
        level, read = _STAGES[name]
        stage = level + (name not in ("PILToTensor", "ToImage"))  # these two need one more step to become 0…1
        fields.update(read(step))
    if not 3 <= stage <= 4 or not any(type(step).__name__ in _MAKES_FLOAT for step in steps):
        raise ModelError(f"the Compose does not end in floating-point pixels of 0…1 (ToTensor is missing): {WAY_OUT}")
    return fields


def _read_resize(step: Any) -> Fields:
    if getattr(step, "max_size", None) is not None:
        raise ModelError(f"Resize with max_size is not supported: {WAY_OUT}")
    return {"resize": _side(step.size), "interpolation": _interpolation(step.interpolation)}


def _read_conversion(step: Any) -> Fields:
    dtype, scale = getattr(step, "dtype", torch.float32), getattr(step, "scale", True)
    if dtype != torch.float32 or not scale:
        raise ModelError(
            f"{type(step).__name__} to {dtype}{'' if scale else ' without scale=True'} is not supported: {WAY_OUT}"
        )
    return {}


def _read_normalise(step: Any) -> Fields:
    return {"mean": tuple(map(float, step.mean)), "std": tuple(map(float, step.std))}


_MAKES_FLOAT = ("ToTensor", "MaybeToTensor", "ConvertImageDtype", "ToDtype")
_STAGES: dict[str, tuple[int, Any]] = {
    "Resize": (0, _read_resize),
    "CenterCrop": (1, lambda step: {"crop": _size(step.size)}),
    "PILToTensor": (2, lambda _: {}),
    "ToImage": (2, lambda _: {}),
    "ToTensor": (2, lambda _: {}),
    "MaybeToTensor": (2, lambda _: {}),
    "ConvertImageDtype": (2, _read_conversion),
    "ToDtype": (2, _read_conversion),
    "Normalize": (3, _read_normalise),
}


def _side(size: Any) -> Any:
    """A torchvision size: one number is the shortest side, two are (height, width)."""
    sides = (size,) if isinstance(size, int) else tuple(size)
    return sides[0] if len(sides) == 1 else sides


def _size(size: Any) -> tuple[int, int]:
    """A torchvision crop size: one number is a square."""
    side = _side(size)
    return (side, side) if isinstance(side, int) else side


def _interpolation(mode: Any) -> str:
    word = str(getattr(mode, "value", mode))
    return "nearest" if word == "nearest-exact" else word
