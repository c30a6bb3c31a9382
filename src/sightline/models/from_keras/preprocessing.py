"""The preparation that an application's `preprocess_input` stands for, found by asking it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sightline.errors import ModelError
from sightline.images.prepare import Preparation

_TOLERANCE = 1e-4
_SCALES = (1.0, 127.5, 255.0)


def preparation_of(preprocess: Callable[..., Any], size: tuple[int, int]) -> Preparation:
    """Resized to `size`, as Keras's examples do (`load_img(target_size=…)`, but bilinear), then as `preprocess` does.

    Args:
        preprocess: from float pixels `b h w 3` of 0 to 255, RGB, to what the network takes.
        size: height and width of the network's input.

    Raises:
        ModelError: it does more than to change the order of channels and to shift and scale each.
    """
    black = _asked(preprocess, np.zeros(3))
    slopes = np.stack([_asked(preprocess, 255.0 * one) - black for one in np.eye(3)]) / 255  # from each to each
    order = "".join("rgb"[one] for one in slopes.argmax(0))
    slope = slopes.max(0)
    if order not in ("rgb", "bgr") or (slope <= 0).any():
        raise ModelError("the application's preprocess_input is no plain normalisation: give a preparation yourself")
    # The scale that makes the rounder numbers: none where a mean is taken of bytes, else those of 0…1 and −1…1.
    scale = next((one for one in _SCALES if np.allclose(slope * one, 1, atol=1e-5)), 255.0)
    std = 1 / (slope * scale)
    mean = np.round(-black * std, 4 if scale == 1 else 6) + 0.0  # float32 holds no more
    preparation = Preparation(
        resize=size,
        scale=scale,
        mean=tuple(float(one) for one in mean),
        std=tuple(float(one) for one in np.round(std, 6)),
        channels=order,  # type: ignore[arg-type]
    )
    _check(preprocess, preparation)
    return preparation


def _asked(preprocess: Callable[..., Any], colour: Any) -> Any:
    given = np.broadcast_to(np.asarray(colour, dtype=np.float32), (1, 1, 1, 3)).copy()
    return np.asarray(preprocess(given), dtype=np.float64)[0, 0, 0]


def _check(preprocess: Callable[..., Any], preparation: Preparation) -> None:
    """The same numbers as `preprocess` gives, on random colours."""
    colours = np.random.default_rng(0).integers(0, 256, (64, 3)).astype(np.float64)
    for colour in colours:
        own = colour[::-1] if preparation.channels == "bgr" else colour
        ours = (own / preparation.scale - np.array(preparation.mean)) / np.array(preparation.std)
        theirs = _asked(preprocess, colour)
        if np.abs(ours - theirs).max() > _TOLERANCE * max(1.0, float(np.abs(theirs).max())):
            raise ModelError(
                "the application's preprocess_input is no plain normalisation: give a preparation yourself"
            )
