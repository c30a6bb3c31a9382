"""Judging a map by deletion, insertion and ROAD, beside Quantus, pytorch-grad-cam and the authors' procedure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.metrics.road import ROADCombined
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torch.nn import functional

import sightline
from sightline.images.fills import Mean, RiseBlur
from speed.races import Make, Maps, Peer, Race, everywhere
from speed.subjects import Asked

STEPS, SIZE = 224, (224, 224)
SHARES = {9: (10, 20, 30, 40, 50, 60, 70, 80, 90), 3: (20, 50, 80)}
"""Percentages of the pixels that ROAD hides, all of them and a third."""


@lru_cache(maxsize=1)
def judged() -> NDArray[np.float32]:
    """The map that is judged: smooth as class activation maps are, with no two values alike."""
    generator = torch.Generator().manual_seed(0)
    cells, fine = torch.rand(1, 1, 7, 7, generator=generator), torch.rand(*SIZE, generator=generator)
    smooth = functional.interpolate(cells, SIZE, mode="bilinear")[0, 0]
    return (smooth + 1e-3 * fine).numpy()


def evaluated(asked: Asked, metrics: list[str], precision: str) -> Maps:
    """Ours: the numbers of metrics, from one clean pass."""
    found = sightline.evaluate(
        asked.classifier,
        [judged()],
        metrics,
        picture=[asked.pixels],
        target=[asked.targets[0]],
        precision="fast" if precision == "fast" else "float32",
    )
    assert isinstance(found, list)
    return [torch.tensor([[one.value]]) for one in found]


def both_curves(precision: str) -> Make:
    """Ours: deletion and insertion."""
    return lambda asked, parts: evaluated(asked, [f"deletion(steps={parts})", f"insertion(steps={parts})"], precision)


def road(precision: str) -> Make:
    """Ours: ROAD in both orders."""
    return lambda asked, parts: evaluated(asked, [f"road(percentages={SHARES[parts]})"], precision)


def grad_cam_road(asked: Asked, parts: int) -> Maps:
    """pytorch-grad-cam's ROADCombined."""
    targets = [ClassifierOutputSoftmaxTarget(asked.targets[0])]
    metric = ROADCombined(percentiles=list(SHARES[parts]))
    return [torch.as_tensor(metric(asked.pixels.contiguous(), judged()[None], targets, asked.network)).reshape(1, 1)]


@torch.no_grad()
def authors(asked: Asked, parts: int) -> Maps:
    """Petsiuk 2018, authors' code (`CausalMetric.single_run`): step after step, a pass each."""
    order = np.argsort(judged(), axis=None, kind="stable")[::-1].copy()
    each = -(-order.size // parts)
    values = asked.classifier.values
    blurred, plain = RiseBlur().make(asked.pixels, values), Mean().make(asked.pixels, values)
    found = []
    for start, finish in ((asked.pixels, plain), (blurred, asked.pixels)):
        picture, heights = start.clone(), []
        for step in range(-(-order.size // each) + 1):
            heights.append(float(asked.network(picture).softmax(1)[0, asked.targets[0]]))
            chosen = torch.from_numpy(order[each * step : each * (step + 1)])
            rows, columns = chosen // 224, chosen % 224
            picture[0, :, rows, columns] = finish[0, :, rows, columns]
        found.append((sum(heights) - (heights[0] + heights[-1]) / 2) / (len(heights) - 1))
    return [torch.tensor([[one]]) for one in found]


def quantus(asked: Asked, parts: int) -> Maps:
    """Quantus' PixelFlipping: deletion alone, to the mean colour."""
    import quantus as package  # takes many seconds, and only this race needs it

    metric = package.PixelFlipping(
        features_in_step=-(-judged().size // parts), perturb_baseline=0.0, disable_warnings=True
    )
    return [torch.tensor([[float(np.mean(metric(**_given(asked))[0]))]])]


def _given(asked: Asked) -> dict[str, Any]:
    """What Quantus is given."""
    return {
        "model": asked.network,
        "x_batch": asked.pixels.contiguous().numpy(),
        "y_batch": np.array([asked.targets[0]]),
        "a_batch": judged()[None, None],
        "device": "cpu",
    }


RACES = [
    Race(
        key="deletion-insertion",
        title="deletion and insertion, 224 steps",
        ours=both_curves,
        peers=[
            Peer(name="authors", call="RISE's CausalMetric, a pass a step", make=authors),
            Peer(name="quantus", call="PixelFlipping: deletion alone, × 2", make=quantus, half=True, compare=False),
        ],
        parts=STEPS,
        share=STEPS,
        quick=32,
        forward=2 * STEPS + 1,
        repeats=1,
        targets=everywhere(2.2, 5),
        note="the largest relative difference is that of the areas",
    ),
    Race(
        key="road",
        title="ROAD, nine percentages in both orders",
        ours=road,
        peers=[
            Peer(name="grad-cam", call="ROADCombined", make=grad_cam_road),
        ],
        parts=9,
        quick=3,
        warm=3,
        forward=19,
        repeats=1,
        targets=everywhere(20, 50),
        note="each draws its own noise; the largest relative difference is that of the values",
    ),
]
