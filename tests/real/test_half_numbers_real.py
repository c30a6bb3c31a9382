"""Row M12: what half precision leaves of the order of pixels on a real network; docs/networks.md tells it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sightline
from sightline.evaluation.similarity import similarity

pytestmark = pytest.mark.real


def test_bfloat16_keeps_the_order_of_all_but_gradients_at_the_pixels(data_dir: Path, expanded_weights: Path) -> None:
    plain, half, again = (
        sightline.load("torchvision/resnet18", weights=expanded_weights / "resnet18.safetensors") for _ in range(3)
    )
    half.network.to(torch.bfloat16)  # type: ignore[union-attr]
    again.network.to(torch.bfloat16).float()  # type: ignore[union-attr]
    path = data_dir / "photos" / "classic" / "gradcampp-collies.JPG"

    def agreement(method: str, other: sightline.Classifier) -> float:
        one = sightline.explain(plain, path, method)
        made = sightline.explain(other, path, method, target=one.target.index)  # type: ignore[union-attr]
        return similarity(made.map, one.map, "spearman")  # type: ignore[union-attr]

    for method in ("grad-cam", "lrp", "occlusion(window=56, stride=56)"):
        assert agreement(method, half) >= 0.99, method
    rounded, widened = (agreement("integrated-gradients(steps=4)", other) for other in (half, again))
    assert 0.8 <= rounded < widened
    assert widened >= 0.95
