"""The real network whose maps are compared with those of other packages."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn


@pytest.fixture(scope="module")
def resnet18(expanded_weights: Path) -> nn.Module:
    """ResNet-18 with its trained weights."""
    torchvision = pytest.importorskip("torchvision")
    from safetensors.torch import load_file

    network: nn.Module = torchvision.models.resnet18()
    weights = load_file(expanded_weights / "resnet18.safetensors")
    network.load_state_dict({key: value.float() for key, value in weights.items()})
    return network.eval()
