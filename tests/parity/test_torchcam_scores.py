"""Class activation maps weighted by scores beside torch-cam's, where the definitions coincide."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.attribution.result import Attribution
from sightline.runs.explain import explain
from small import close, picture, pooled, smooth

methods = pytest.importorskip("torchcam.methods")


def ours(network: nn.Module, x: torch.Tensor, spec: str, target: int) -> torch.Tensor:
    found = explain(network, x, spec, target=target)
    assert isinstance(found, Attribution)
    return torch.from_numpy(found.map)


def theirs(extractor: object, network: nn.Module, x: torch.Tensor, target: int) -> torch.Tensor:
    with extractor as made, torch.no_grad():  # type: ignore[attr-defined]
        network(x)
        (map,) = made(class_idx=target, normalized=False)
    return torch.nn.functional.interpolate(map[:, None], x.shape[-2:], mode="bilinear", align_corners=False)[0, 0]


@pytest.mark.parametrize(("build", "layer"), [(smooth, "2"), (pooled, "1"), (smooth, "0")])
@pytest.mark.parametrize(
    ("name", "options", "spec"),
    [
        ("ScoreCAM", {}, "score-cam(order=normalise-first)"),
        ("ISCAM", {"num_samples": 4}, "is-cam(steps=4, factors=running-sum, order=normalise-first)"),
        ("SSCAM", {"num_samples": 2, "std": 1e-9}, "ss-cam(samples=2, sigma=0, order=normalise-first)"),
    ],
)
@pytest.mark.parametrize("target", [0, 2])
def test_torchcam(build: object, layer: str, name: str, options: dict[str, float], spec: str, target: int) -> None:
    network, x = build(), picture(12, 16)  # type: ignore[operator]
    extractor = getattr(methods, name)(network, target_layer=layer, input_shape=(3, 12, 16), **options)
    expected = theirs(extractor, network, x, target)
    assert float(expected.max()) > 0
    assert close(ours(network, x, f"{spec[:-1]}, layer='{layer}')", target), expected, 1e-4)
