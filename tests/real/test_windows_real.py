"""Windows run in part through the networks that people use: the scores of whole passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from sightline.images.regions import sliding_windows
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Windows
from sightline.passes.windows import engine

pytestmark = pytest.mark.real

SIZES = {"alexnet": (131, 99), "dla34": (96, 128)}


def alive(network: nn.Module) -> nn.Module:
    """The network with normalisations that keep what comes through it apart, as trained ones do."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, generator=generator)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.7, 1.5, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
    return network.eval()


NAMES = (
    "torchvision.resnet18", "torchvision.resnet50", "torchvision.vgg11_bn", "torchvision.mobilenet_v2",
    "torchvision.squeezenet1_1", "torchvision.densenet121", "torchvision.googlenet", "torchvision.alexnet",
    "timm.resnet10t", "timm.mobilenetv2_050", "timm.efficientnet_lite0", "timm.dla34",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_networks_in_use(data_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _, which = name.partition(".")
    library = pytest.importorskip("torchvision.models" if source == "torchvision" else "timm")
    if not hasattr(library, which) and which not in getattr(library, "list_models", list)():
        pytest.skip(f"this {source} has no {which}")
    make = getattr(library, which) if source == "torchvision" else lambda: library.create_model(which)
    network = alive(make())
    monkeypatch.setattr(engine, "MOST_LEFT", 2.0)  # whatever it saves
    x = torch.randn(1, 3, *SIZES.get(which, (97, 131)), generator=torch.Generator().manual_seed(1))
    windows = Windows(sliding_windows(*x.shape[-2:], 24, 16).boxes, torch.zeros_like(x))
    passes, whole = Passes(network), Passes(network, runtime="eager")
    found, rows = passes.perturbed(x, windows), slice(0, None, 6)
    expected = whole.perturbed(x, Windows(windows.boxes[rows], windows.fill))
    assert passes._runner.questions.ran == ["torch, windows in part"]
    assert (expected[0] - expected[-1]).abs().max() > 1e-4 * expected.abs().max()
    assert (found[rows] - expected).abs().max() <= 1e-5 * expected.abs().max()
