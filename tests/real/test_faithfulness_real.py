"""The metrics of faithfulness and complexity on a real network and a photograph: numbers that make sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import sightline
from sightline.evaluation.table import METRICS

pytestmark = pytest.mark.real

CHEAP = [
    "pixel-flipping(steps=14)",
    "region-perturbation(window=32, regions=20, order=both)",
    "irof(regions=grid(rows=5, columns=5))",
    "pic(thresholds=(0.05, 0.2, 0.5))",
    "sufficiency(percentages=(20, 50), base=blur)",
    "average-drop",
    "average-increase",
    "average-gain",
    "infidelity(samples=16)",
    "completeness",
    "faithfulness-correlation(samples=12)",
    "mu-fidelity(samples=40)",
    "sensitivity-n(sizes=3, samples=8)",
    "monotonicity(steps=10)",
    "monotonicity-correlation(samples=1)",
    "gini",
    "entropy",
    "effective-size",
]
# what a map that covers the object must win against one that covers a corner, on any picture that is seen surely
TOLD_APART = [
    "pixel-flipping", "region-perturbation", "irof", "sufficiency", "average-drop", "average-increase", "average-gain",
    "infidelity", "mu-fidelity", "monotonicity-correlation",
]  # fmt: skip
SIMPLER = ["gini", "entropy", "effective-size"]  # by these a corner is simpler than an object
RANGES = {
    "pic": (0, 1), "completeness": (0, np.inf), "faithfulness-correlation": (-1, 1), "sensitivity-n": (-1, 1),
    "monotonicity": (0, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def seen(expanded_weights: Path, data_dir: Path) -> tuple[sightline.Classifier, Path, sightline.Attribution]:
    torch.set_num_threads(1)
    model = sightline.load("torchvision/resnet18", weights=expanded_weights / "resnet18.safetensors")
    photo = data_dir / "photos" / "imagenet" / "ILSVRC2012_val_00000560.jpg"
    found = sightline.explain(model, photo, "grad-cam")
    assert isinstance(found, sightline.Attribution)
    assert found.target.probability > 0.9
    return model, photo, found


@pytest.mark.parametrize("text", CHEAP)
def test_a_good_map_is_told_from_one_of_the_corner(text: str, seen: tuple) -> None:
    model, photo, good = seen
    corner = np.zeros(good.map.shape, np.float32)
    corner[:40, :40] = np.random.default_rng(0).random((40, 40)) + 0.5
    metric = METRICS.make(text)
    one = sightline.evaluate(model, good, metric)
    other = sightline.evaluate(model, corner, metric, picture=photo, target=good.target.index)
    assert isinstance(one, sightline.Judgement)
    assert isinstance(other, sightline.Judgement)
    ahead = (one.value - other.value) * {"higher": 1, "lower": -1}[metric.traits.better]
    if metric.name in TOLD_APART:
        assert ahead > 0.02
    elif metric.name in SIMPLER:
        assert ahead < -0.02
    else:  # too few draws, or a question of its own: these need not prefer the object, and stay in their range
        low, high = RANGES[metric.name]
        assert all(low <= value <= high for value in (one.value, other.value))


def test_adcc_of_grad_cam_is_near_what_is_published(seen: tuple) -> None:
    """Over ImageNet's validation set its means are: ADCC .77, drop .19, coherency .98, complexity .39."""
    model, _, good = seen
    found = sightline.evaluate(model, good, "adcc")
    assert isinstance(found, sightline.Judgement)
    assert 0.6 < found.value < 0.9
    assert found.details["coherency"] > 0.9
    assert 0.2 < found.details["complexity"] < 0.6


def test_integrated_gradients_are_complete_and_grad_cam_is_not(seen: tuple) -> None:
    model, photo, good = seen
    complete = sightline.explain(model, photo, "integrated-gradients(steps=40)", target=good.target.index)
    for made, low, high in ((complete, 0, 0.1), (good, 1, np.inf)):
        found = sightline.evaluate(model, made, "completeness")
        assert isinstance(found, sightline.Judgement)
        assert low <= found.details["relative"] < high
