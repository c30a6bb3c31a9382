"""Where captum is right (ReLUs that are modules, each used once), rules give what it gives; and where it is not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from small import close, picture, seeded

captum = pytest.importorskip("captum.attr")

from sightline.images.fills import FILLS  # noqa: E402
from sightline.images.load import load  # noqa: E402
from sightline.images.prepare import Preparation  # noqa: E402
from sightline.images.values import ValueRange  # noqa: E402
from sightline.models.classifier import Classifier, wrap  # noqa: E402
from sightline.runs.explain import explain  # noqa: E402

AGREED = 1e-4
PEERS = {
    "guided-backpropagation": captum.GuidedBackprop,
    "deconvnet": captum.Deconvolution,
    "deep-lift": captum.DeepLift,
}
NORMAL = Preparation(resize=256, crop=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def deep(act: Callable[[], nn.Module]) -> nn.Module:
    """Something stands between the activation and the pooling, else captum forgets its rule for pooling."""
    return seeded(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            act(),
            nn.BatchNorm2d(6),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1),
            act(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 10),
            act(),
            nn.Linear(10, 4),
        )
    )


def ours(network: nn.Module | Classifier, x: torch.Tensor, method: str, target: int = 1) -> torch.Tensor:
    channels = explain(network, x, method, target=target).channels  # type: ignore[union-attr]
    assert channels is not None
    return torch.from_numpy(channels)


def theirs(network: nn.Module, x: torch.Tensor, method: str, target: int = 1) -> torch.Tensor:
    found: torch.Tensor = PEERS[method](network).attribute(x.clone().requires_grad_(), target=target)
    return found[0].detach()


@pytest.mark.filterwarnings("ignore:Setting")
@pytest.mark.parametrize("method", PEERS)
def test_relu(method: str) -> None:
    network, x = deep(nn.ReLU), picture(9, 12)
    assert close(ours(network, x, method), theirs(network, x, method), AGREED)


@pytest.mark.filterwarnings("ignore:Setting")
@pytest.mark.parametrize("act", [nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus])
def test_deep_lift_of_other_activations(act: Callable[[], nn.Module]) -> None:
    network, x = deep(act), picture(9, 12)
    assert close(ours(network, x, "deep-lift"), theirs(network, x, "deep-lift"), AGREED)


@pytest.mark.filterwarnings("ignore:Setting")
@pytest.mark.filterwarnings("ignore:Lazy")
@pytest.mark.parametrize("act", [nn.ReLU(), nn.Tanh()])
@pytest.mark.parametrize(
    ("between", "pool", "right"),
    [
        (nn.BatchNorm2d(4), nn.MaxPool2d(2), True),
        (nn.Identity(), nn.MaxPool2d(2), False),  # its hooks on one tensor run in the wrong order
        (nn.BatchNorm2d(4), nn.MaxPool2d(3, 1), False),  # where windows overlap, it keeps one contribution to a place
    ],
)
def test_max_pooling_adds_up_here_and_not_always_there(
    act: nn.Module, between: nn.Module, pool: nn.Module, right: bool
) -> None:
    x = picture(9, 12)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), act, between, pool, nn.Flatten(), nn.LazyLinear(3))
    network(x)
    seeded(network)
    start = FILLS.make("uniform(seed=3)").make(x, ValueRange.unit())
    difference = (network(x) - network(start))[0, 1].detach()
    own = ours(network, x, "deep-lift(baseline=uniform(seed=3))")
    other = captum.DeepLift(network).attribute(x, start, target=1)[0].detach()
    assert abs(own.sum() - difference) < 1e-5
    assert (abs(other.sum() - difference) < 1e-5) == right
    assert close(own, other, AGREED) == right


class OnceEach(nn.Module):
    """A shared ReLU of a residual block as modules of their own, none in place: what captum's hooks need."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        block.relu, block.last = nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b = self.block
        inner = b.bn2(b.conv2(b.relu(b.bn1(b.conv1(x)))))
        out: torch.Tensor = b.last(inner + (x if b.downsample is None else b.downsample(x)))
        return out


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:Setting")
@pytest.mark.parametrize("method", PEERS)
def test_resnet18_with_its_real_weights(method: str, resnet18: nn.Module, data_dir: Path) -> None:
    """The network as it is, against captum on one whose ReLUs are each a module and whose max-pooling is left out."""
    x, _ = NORMAL.prepare(load(sorted((data_dir / "photos" / "coco").glob("*.jpg"))[0]))
    network = copy.deepcopy(resnet18)
    if method == "deep-lift":
        network.maxpool = nn.AvgPool2d(2)  # after a ReLU, and where windows overlap, captum's rule does not add up
    twin = copy.deepcopy(network)
    twin.relu = nn.ReLU()
    for stage in (twin.layer1, twin.layer2, twin.layer3, twin.layer4):
        for place, block in enumerate(stage):
            stage[place] = OnceEach(block)
    target = int(network(x).argmax())
    spec = method + "(baseline=mean)" * (method == "deep-lift")
    assert close(ours(wrap(network, preparation=NORMAL), x, spec, target), theirs(twin, x, method, target), AGREED)
