"""Where definitions coincide, class activation maps equal torch-cam's and scikit-learn's: 1e-4 relative at most."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.result import Attribution
from sightline.runs.explain import explain
from small import close, picture, pooled, seeded

AGREED = 1e-4


def deep(seed: int = 3) -> nn.Module:
    """Three convolutions with ReLU on two grids, then a network over all cells that is not linear."""
    return seeded(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Linear(72, 10),
            nn.Tanh(),
            nn.Linear(10, 5),
        ),
        seed,
    )


def map_of(network: nn.Module, x: torch.Tensor, method: str, target: int = 1, **options: object) -> torch.Tensor:
    found = explain(network, x, method, target=target, **options)  # type: ignore[arg-type]
    assert isinstance(found, Attribution)
    return torch.from_numpy(found.map)


def theirs(name: str, network: nn.Module, x: torch.Tensor, layers: list[str], target: int = 1) -> list[torch.Tensor]:
    """torch-cam's maps at the layers, `h w` each, neither normalised nor enlarged."""
    methods = pytest.importorskip("torchcam.methods")
    with getattr(methods, name)(network, list(layers), input_shape=tuple(x.shape[1:])) as extractor:
        return [cam[0] for cam in extractor(target, network(x), normalized=False)]


def enlarged(low: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(low[None, None], x.shape[-2:], mode="bilinear", align_corners=False)[0, 0].detach()


@pytest.mark.parametrize(
    ("ours", "name"),
    [("grad-cam-plus-plus(form=squared)", "GradCAMpp"), ("xgrad-cam", "XGradCAM"), ("layer-cam", "LayerCAM")],
)
@pytest.mark.parametrize("layer", ["1", "3"])
@pytest.mark.parametrize("build", [deep, pooled])
def test_torch_cam(ours: str, name: str, layer: str, build: Callable[[], nn.Module]) -> None:
    network, x = build(), picture(12, 16)
    if build is pooled and layer == "3":
        pytest.skip("this network has one layer on a grid")
    each = [enlarged(theirs(name, network, x, [layer], target=target)[0], x) for target in range(4)]
    assert max(float(expected.max()) for expected in each) > 0
    for target, expected in enumerate(each):
        assert close(map_of(network, x, ours, layer=layer, target=target), expected, AGREED)


@pytest.mark.parametrize(("of", "base"), [("grad-cam", "GradCAM"), ("layer-cam", "LayerCAM")])
def test_finer_cam(of: str, base: str) -> None:
    methods = pytest.importorskip("torchcam.methods")
    network, x = deep(), picture(12, 16)
    options = {"base_method": getattr(methods, base), "gamma": 0.6, "num_references": 3}
    with methods.FinerCAM(network, "3", input_shape=(3, 12, 16), **options) as extractor:
        low = extractor(1, network(x), normalized=False)[0][0]
    assert close(map_of(network, x, f"finer-cam(of={of})", layer="3"), enlarged(low, x), AGREED)


def test_fused_cam() -> None:
    methods = pytest.importorskip("torchcam.methods")
    network, x = deep(), picture(12, 16)
    low = [cam / cam.max() for cam in theirs("LayerCAM", network, x, ["1", "3"])]
    expected = methods.LayerCAM.fuse_cams([cam[None] for cam in low], (12, 16))[0]
    assert close(map_of(network, x, "fused-cam(layers=(1, 3))"), expected.detach(), AGREED)


def test_refine_cam() -> None:
    methods = pytest.importorskip("torchcam.methods")
    network, x = deep(), picture(12, 16)
    low = [cam[None] for cam in theirs("LayerCAM", network, x, ["1", "3"])]
    expected = methods.RefineCAM.fuse_cams(low, (12, 16), normalized=False)[0]
    assert close(map_of(network, x, "refine-cam(of=layer-cam, layers=(1, 3))"), expected.detach(), AGREED)


@pytest.mark.parametrize("kernel", ["sigmoid", "rbf", "linear"])
def test_kernel_components_of_scikit_learn(kernel: str) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    network, x = deep(), picture(12, 16)
    cells = network[:4](x)[0].flatten(1).T.detach().double().numpy()
    analysis = decomposition.KernelPCA(n_components=1, kernel=kernel)  # gamma is 1 / channels, coef0 is 1
    low = torch.tensor(analysis.fit_transform(cells - cells.mean(0)))[:, 0].float().reshape(6, 8)
    found = map_of(network, x, f"kpca-cam(kernel={kernel})", layer="3")
    expected = enlarged(low, x)
    assert close(found, expected, AGREED) or close(found, -expected, AGREED)
