"""Architectures exported to ONNX give the scores and maps of their networks, or are refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.errors import NotSupportedError
from sightline.models.classifier import Classifier

torchvision = pytest.importorskip("torchvision").models
pytest.importorskip("onnx2torch")
PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def swin() -> nn.Module:
    """Windows that are shifted: masks written by slices, rolled tokens."""
    return torchvision.SwinTransformer(
        patch_size=[4, 4], embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=[4, 4], num_classes=4
    )


def convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig

    return torchvision.ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], layer_scale=0.5, num_classes=4)


def vit() -> nn.Module:
    return torchvision.VisionTransformer(64, 16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=4)


def regnet() -> nn.Module:
    from torchvision.models.regnet import BlockParams, RegNet

    stages = BlockParams.from_init_params(depth=4, w_0=16, w_a=16.0, w_m=2.0, group_width=8, se_ratio=0.25)
    return RegNet(stages, num_classes=4)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "squeezenet": lambda: torchvision.squeezenet1_1(weights=None, num_classes=4),
    "swin": swin,
    "convnext": convnext,
    "vit": vit,
    "regnet": regnet,
}


def alive(make: Callable[[], nn.Module]) -> nn.Module:
    """A network as its authors begin it, from a seed; a head that begins at zero is given some."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = make().eval()
        for parameter in network.parameters():
            if parameter.ndim == 2 and not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return network


def exported(network: nn.Module, file: Path, opset: int | None = None) -> Classifier:
    more: dict[str, int] = {} if opset is None else {"opset_version": opset}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (PIXELS,), str(file), dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "b"}}, **more
        )
    return sightline.load(str(file))


@pytest.mark.parametrize(
    ("name", "opset"), [*((name, None) for name in NETWORKS), ("swin", 13), ("convnext", 13), ("regnet", 13)]
)
def test_scores_and_maps_are_those_of_the_network(name: str, opset: int | None, tmp_path: Path) -> None:
    network = alive(NETWORKS[name])
    found = exported(network, tmp_path / "n.onnx", opset)
    assert found.network is not None, found.forward_only
    assert not found.network.one_picture_at_a_time
    with torch.no_grad():
        wanted = network(PIXELS)
        assert float((found.raw_scores(PIXELS) - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())
    top = int(wanted[0].argmax())
    for method in ("gradient", "integrated-gradients(steps=3)", "grad-cam", "grad-cam-element-wise"):
        ours, own = (sightline.explain(one, PIXELS[0], method, target=top) for one in (found, network))
        largest = np.abs(own.map).max()
        assert largest > 0 or method == "grad-cam"  # which may find nothing positive
        assert np.abs(ours.map - own.map).max() <= 1e-4 * largest, (method, ours.layer, own.layer)


def moved(network: nn.Module) -> nn.Module:
    """Normalisations that have seen numbers, so that folding them into convolutions changes digits."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        network(torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(2)))
    return network.eval()


def gradient(network: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    leaf = pixels.clone().requires_grad_()
    (found,) = torch.autograd.grad(network(leaf)[:, 1].sum(), leaf)
    return found


FOLDED: dict[str, Callable[[], nn.Module]] = {
    "shufflenet": lambda: torchvision.shufflenet_v2_x0_5(weights=None, num_classes=4),
    "densenet": lambda: torchvision.DenseNet(8, (2, 2), 16, num_classes=4),
}


@pytest.mark.parametrize("name", FOLDED)
def test_gradients_differ_by_the_digits_of_float32_alone(name: str, tmp_path: Path) -> None:
    """In float32 a value near 0 may come to the other side of a ReLU, in the network itself as in its file."""
    network = moved(alive(FOLDED[name]))
    found = exported(network, tmp_path / "n.onnx")
    assert found.network is not None, found.forward_only
    own = gradient(network.double(), PIXELS.double())
    ours = gradient(found.network.network.double(), PIXELS.double())
    assert float((ours - own).abs().max()) <= 1e-5 * float(own.abs().max())
    with torch.no_grad():
        next(network.parameters()).mul_(1.001)
    assert float((gradient(network, PIXELS.double()) - own).abs().max()) > 1e-4 * float(own.abs().max())


def test_a_node_that_cannot_be_converted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx2torch.node_converters import registry

    known = {key: one for key, one in registry._CONVERTER_REGISTRY.items() if key.operation_type != "ScatterND"}
    monkeypatch.setattr(registry, "_CONVERTER_REGISTRY", known)
    network = alive(swin)
    found = exported(network, tmp_path / "n.onnx")
    with torch.no_grad():
        assert torch.allclose(found.raw_scores(PIXELS), network(PIXELS), atol=1e-4)
    for method in ("gradient", "grad-cam"):
        with pytest.raises(
            NotSupportedError, match=rf"{method} needs .*no converter for ScatterND of version \d+\); use"
        ):
            sightline.explain(found, PIXELS[0], method, target=1)
