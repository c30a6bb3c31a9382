"""Networks so simple that what a metric must say can be written down: no loop, no other code, a fraction.

The picture is white, 8 × 8. One network looks at a single pixel, and its probability is that pixel's brightness; the
other takes the mean brightness of all. In every map no two pixels are equal, and the pixel is the k-th of its order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sightline.evaluation.base import Question
from sightline.evaluation.table import METRICS
from sightline.images.frame import Frame
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes

SIDE = 8
PIXELS = SIDE * SIDE
PLACE = (2, 5)
WHITE = torch.ones(1, 3, SIDE, SIDE)


def one_pixel(pixels: torch.Tensor) -> torch.Tensor:
    bright = pixels[:, :, PLACE[0], PLACE[1]].mean(1)
    return torch.stack([bright, 1 - bright], 1)


def all_pixels(pixels: torch.Tensor) -> torch.Tensor:
    bright = pixels.mean((1, 2, 3))
    return torch.stack([bright, 1 - bright], 1)


def map_with(place: int, seed: int = 0) -> np.ndarray:
    """A map whose `place`-th highest value, from 1, lies on the pixel: the values are 64/64, 63/64, … 1/64."""
    values = np.random.default_rng(seed).permutation(PIXELS)
    own = int(np.ravel_multi_index(PLACE, (SIDE, SIDE)))
    wanted = PIXELS - place
    values[np.flatnonzero(values == wanted)[0]], values[own] = values[own], wanted
    return ((values + 1) / PIXELS).reshape(SIDE, SIDE).astype(np.float32)


def value(metric: str, map: np.ndarray, network: Callable[[torch.Tensor], torch.Tensor] = one_pixel) -> float:
    passes = Passes(wrap(network, head="probabilities", labels=["bright", "dark"]))
    question = Question(pixels=WHITE, map=map, picture_map=map, target=Target.of(0), frame=Frame.whole(SIDE, SIDE))
    return METRICS.make(metric)(passes, question).value


KNOWN: dict[str, Callable[[int], float]] = {
    # 1 until the pixel goes at step k, then 0: the trapezoids are k − 1 whole ones and a half one
    "deletion(steps=64, base=black)": lambda k: (k - 0.5) / PIXELS,
    "pixel-flipping(steps=64)": lambda k: (k - 0.5) / PIXELS,
    "irof(regions=grid(rows=8, columns=8), base=black)": lambda k: 1 - (k - 0.5) / PIXELS,
    "insertion(steps=64, base=black)": lambda k: 1 - (k - 0.5) / PIXELS,
    # of the 65 pictures with 0 to 64 squares filled, k … 64 have lost all of it
    "region-perturbation(window=1, regions=64, base=black)": lambda k: (PIXELS + 1 - k) / (PIXELS + 1),
    # 16, 32 and 48 pixels are shown: nothing is missing where the pixel is among them
    "sufficiency(percentages=(25, 50, 75), base=black)": lambda k: sum(k > kept for kept in (16, 32, 48)) / 3,
    # the pixel is shown as bright as its map's value between the least (1/64 → 0) and the most (1 → 1)
    "average-drop(base=black)": lambda k: (k - 1) / (PIXELS - 1),
    "average-increase(base=black)": lambda k: 0.0,
    # it only ever rises when pixels are put back
    "monotonicity(steps=64, base=black)": lambda k: 1.0,
    # a hole in a white picture is imputed white, so nothing is lost
    "road(noise=0)": lambda k: 0.0,
}


@pytest.mark.parametrize("metric", KNOWN)
def test_one_pixel_that_decides_tells_its_place_in_the_order(metric: str) -> None:
    for place in (1, 2, 17, 40, 64):
        assert value(metric, map_with(place)) == pytest.approx(KNOWN[metric](place), abs=1e-6), place


@pytest.mark.parametrize("metric", ["deletion(steps=64, base=black)", "insertion(steps=16, base=black)"])
def test_where_every_pixel_counts_the_same_no_order_is_better(metric: str) -> None:
    found = [value(metric, map_with(place, seed), all_pixels) for seed, place in enumerate((1, 30, 64))]
    assert found == pytest.approx([0.5] * 3, abs=1e-6)


def test_known_answers_can_fail() -> None:
    """A map that was turned upside down has the pixel at another place, and every order-bound value tells it."""
    for metric in list(KNOWN)[:5]:
        assert value(metric, map_with(1)[::-1].copy()) != pytest.approx(KNOWN[metric](1), abs=1e-6)
