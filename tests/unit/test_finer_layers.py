"""Which layers are chosen where a method looks at several grids."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.passes.passes import Passes
from small import picture, seeded


def finer(network: nn.Module, last: str, size: int = 64) -> list[str]:
    passes = Passes(network.eval())
    return passes.finer_layers(picture(size, size), last)


def test_a_chain_gives_the_last_layer_on_each_grid() -> None:
    chain = seeded(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 5, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(5, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 3),
        )
    )
    assert finer(chain, "6", 16) == ["4", "1"]
    assert finer(chain, "3", 16) == ["1"]
    assert finer(chain, "1", 16) == []


@pytest.mark.parametrize(
    ("name", "last", "expected"),
    [
        ("resnet50", "layer4", ["layer3", "layer2", "layer1", "relu"]),
        ("resnet18", "layer4", ["layer3", "layer2", "layer1", "relu"]),
        ("regnet_y_400mf", "trunk_output", ["block3", "block2", "block1", "stem"]),
        ("densenet121", "features", ["transition3.conv", "transition2.conv", "transition1.conv", "relu0"]),
        ("convnext_tiny", "features.7", ["features.5", "features.3", "features.1"]),
    ],
)
def test_the_end_of_a_stage_goes_before_a_branch_inside_the_next(name: str, last: str, expected: list[str]) -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.random.fork_rng():
        network = getattr(models, name)(weights=None)
    found = finer(network, last)
    assert len(found) == len(expected)
    assert all(one.endswith(other) for one, other in zip(found, expected, strict=True)), found
