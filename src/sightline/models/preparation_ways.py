"""The usual ways of preparing pictures, beside the one that was declared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sightline.images.prepare import Preparation

IMAGENET = "ImageNet's mean and deviation"
TURNED = " in place of "
"""In the name of the way that differs in the order of channels alone."""


def conventions(declared: Preparation) -> list[tuple[str, Preparation]]:
    """The declared preparation, then other usual ways on the same pixels; those equal to it are left out."""
    count = len(declared.mean)
    turned = {"rgb": "bgr", "bgr": "rgb"}.get(declared.channels)
    plain = {"mean": (0.0,) * count, "std": (1.0,) * count, "channels": "rgb" if count == 3 else "grey"}
    ways: dict[str, dict[str, Any]] = {
        "values from 0 to 1": {"scale": 255.0, **plain},
        "values from −1 to 1": {"scale": 127.5, **plain, "mean": (1.0,) * count},
        "values from 0 to 255": {"scale": 1.0, **plain},
    }
    if count == 3:
        imagenet = {"scale": 255.0, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
        caffe = {"scale": 1.0, "mean": (103.939, 116.779, 123.68), "channels": "bgr"}
        ways |= {
            IMAGENET: {**plain, **imagenet},
            "BGR bytes less their mean (Caffe)": {**plain, **caffe},
        }
    found = [("declared", declared), *((name, replace(declared, **fields)) for name, fields in ways.items())]
    if turned is not None:
        found.append((f"{turned.upper()}{TURNED}{declared.channels.upper()}", _turned(declared, turned)))
    values = [(way.scale, way.mean, way.std, way.channels) for _, way in found]
    return [one for place, one in enumerate(found) if place == 0 or not _alike(values[place], values[0])]


def _turned(declared: Preparation, channels: Any) -> Preparation:
    return replace(declared, channels=channels, mean=declared.mean[::-1], std=declared.std[::-1])


def _alike(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two ways give about the same numbers for black and white."""
    if one[3] != other[3]:
        return False
    ends = [
        np.array(
            [[(value / way[0] - mean) / std for mean, std in zip(way[1], way[2], strict=True)] for value in (0, 255)]
        )
        for way in (one, other)
    ]
    return bool(np.abs(ends[0] - ends[1]).max() <= 0.05 * np.abs(ends[1]).max())
