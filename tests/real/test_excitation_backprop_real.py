"""Excitation backprop and Relevance-CAM of a photograph, beside TorchRay's formulas on the same network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sightline
from sightline.attribution.result import Attribution
from sightline.images.load import load
from small import close
from torchray import TorchRay

pytestmark = pytest.mark.real

AGREED = 5e-4  # shares are divided by sums to which 1e-6 is added here, 1e-20 there


def test_resnet18(expanded_weights: Path, photographs: list[Path]) -> None:
    pytest.importorskip("torchvision")
    model = sightline.load("torchvision/resnet18", weights=expanded_weights / "resnet18.safetensors")
    assert model.network is not None
    assert model.preparation is not None
    x, _ = model.preparation.prepare(load(photographs[-1]))
    x = x[None] if x.ndim == 3 else x
    with torch.no_grad():
        target = int(model.network(x).argmax())
    ray = TorchRay(model.network)
    for at in ("layer2", "layer3"):
        own, dual = (ray.won(x, target, at, top) for top in (1.0, -1.0))
        start = torch.full((1000,), -1e-3)
        start[target] = 1
        weights = ray.handed(x, start, at).sum((1, 2))
        activations = ray.run(x, at)[0][0].detach()
        expected = {
            f"excitation-backprop(layer={at})": own,
            f"contrastive-excitation-backprop(layer={at})": (own - dual).clamp(min=0),
            f"relevance-cam(layer={at})": torch.einsum("k,khw->hw", weights, activations).relu(),
        }
        for spec, map in expected.items():
            found = sightline.explain(model.network, x, spec, target=target)
            assert isinstance(found, Attribution)
            large = torch.nn.functional.interpolate(map[None, None], (224, 224), mode="bilinear", align_corners=False)
            assert float(map.max()) > 0
            assert close(torch.from_numpy(found.map), large[0, 0], AGREED), spec
