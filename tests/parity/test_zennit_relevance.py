"""Relevance propagation gives what zennit gives, composite by composite; and what captum gives, where it is right.

zennit's own merging of a batch normalisation leaves its ε in the place of the normalisation, so that each layer is
1 + ε/2 too small; torch's own merging does not, and is what zennit is given here. ε counts in root mean squares for
both (zennit: norm_scale).
"""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from small import close, picture, seeded

zennit = pytest.importorskip("zennit")
captum = pytest.importorskip("captum.attr")

from zennit.attribution import Gradient  # noqa: E402
from zennit.composites import COMPOSITES as THEIRS  # noqa: E402
from zennit.composites import LayerMapComposite, layer_map_base  # noqa: E402
from zennit.core import Composite as TheirComposite  # noqa: E402
from zennit.core import Stabilizer  # noqa: E402
from zennit.layer import Sum  # noqa: E402
from zennit.rules import Norm, WSquare, ZPlus  # noqa: E402
from zennit.torchvision import ResNetCanonizer  # noqa: E402
from zennit.types import AvgPool, Linear  # noqa: E402

from sightline.attribution.relevance.lrp import Lrp  # noqa: E402
from sightline.attribution.table import METHODS  # noqa: E402
from sightline.images.load import load  # noqa: E402
from sightline.images.prepare import Preparation  # noqa: E402
from sightline.models.classifier import Classifier, wrap  # noqa: E402
from sightline.passes.passes import Passes  # noqa: E402

AGREED = 1e-4
NORMAL = Preparation(resize=256, crop=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
COMPOSITES = (
    "epsilon-plus",
    "epsilon-plus-flat",
    "epsilon-gamma-box",
    "epsilon-alpha2-beta1",
    "epsilon-alpha2-beta1-flat",
)
SMALL = Stabilizer(epsilon=1e-6, norm_scale=True)
LEAST = Stabilizer(epsilon=1e-12, norm_scale=True)  # ours, in sums and means in float64


def theirs(network: nn.Module, x: torch.Tensor, composite: TheirComposite, target: int) -> torch.Tensor:
    def begin(scores: torch.Tensor) -> torch.Tensor:
        return torch.eye(scores.shape[1], dtype=scores.dtype)[[target] * len(scores)] * scores

    with Gradient(model=network, composite=composite) as attributor:
        found: torch.Tensor = attributor(x.clone(), begin)[1]
    return found.detach()


def named(name: str, x: torch.Tensor, **options: object) -> TheirComposite:
    if name == "epsilon-gamma-box":
        low, high, _ = NORMAL.values().like(x)
        options |= {"low": low, "high": high}
    if x.dtype == torch.float64:
        options |= {"layer_map": [(kind, Norm(stabilizer=LEAST)) for kind in (Sum, AvgPool)]}
    made: TheirComposite = THEIRS[name.replace("-", "_")](epsilon=SMALL, stabilizer=SMALL, **options)
    return made


def ours(network: nn.Module | Classifier, x: torch.Tensor, composite: str, target: int) -> torch.Tensor:
    return Lrp(composite=composite)(Passes(network), x, target).values  # type: ignore[arg-type]


def merged(network: nn.Module) -> nn.Module:
    """The network with every batch normalisation merged into the convolution before it, by torch."""
    twin = copy.deepcopy(network)
    for module in list(twin.modules()):
        before = ("", module)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(module, name, nn.Identity())
            before = (name, child)
    return twin


def vgg() -> nn.Module:
    """As VGG: convolutions, in-place ReLUs, maximum pooling, dense layers; the second convolution is normalised."""
    network = seeded(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d((2, 2)),
            nn.Flatten(),
            nn.Linear(32, 12),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(12, 5),
        ),
        3,
    )
    generator = torch.Generator().manual_seed(1)
    network[4].running_mean.copy_(torch.randn(8, generator=generator))  # type: ignore[index, union-attr]
    network[4].running_var.copy_(torch.rand(8, generator=generator) + 0.5)  # type: ignore[index, union-attr]
    return network


class Ended(nn.Module):
    """Features of a torchvision network, averaged and classified, with every step a module as zennit needs it."""

    def __init__(self, network: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.features, self.act, self.pool = network.features, act, nn.AdaptiveAvgPool2d(1)
        self.classifier = network.classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.pool(self.act(self.features(x))).flatten(1))
        return scores


def torchvision_network(name: str) -> nn.Module:
    """A network with random weights, and normalisations that do something."""
    torchvision = pytest.importorskip("torchvision")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: nn.Module = getattr(torchvision.models, name)(weights=None)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(0, 0.2)
    return network.eval().double()


def test_mobilenet_with_its_clipped_relus_and_skips() -> None:
    network, x = torchvision_network("mobilenet_v2"), picture(64, 64).double() - 0.5
    twin = Ended(merged(network), nn.Identity())

    def summed(block: nn.Module, given: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = block.conv(given)
        return block.sum(torch.stack([given, answer], -1)) if block.use_res_connect else answer

    for module in twin.modules():
        if type(module).__name__ == "InvertedResidual":
            module.sum, module.forward = Sum(), partial(summed, module)
    for composite in ("epsilon-plus", "epsilon-gamma-box"):
        expected = theirs(twin, x, named(composite, x), 3)
        assert close(ours(wrap(network, preparation=NORMAL), x, composite, 3), expected, 1e-5)


def test_densenet_whose_normalisations_stand_before_relus() -> None:
    """Those that follow a convolution are merged, the others hand on.

    zennit's canoniser goes by the order of modules, and errs.
    """
    network, x = torchvision_network("densenet121"), picture(64, 64).double() - 0.5
    twin = Ended(copy.deepcopy(network), nn.ReLU())
    stem = twin.features
    stem.conv0, stem.norm0 = fuse_conv_bn_eval(stem.conv0, stem.norm0), nn.Identity()
    for module in twin.modules():
        if type(module).__name__ == "_DenseLayer":
            module.conv1, module.norm2 = fuse_conv_bn_eval(module.conv1, module.norm2), nn.Identity()
    expected, own = theirs(twin, x, named("epsilon-plus-flat", x), 3), wrap(network, preparation=NORMAL)
    assert close(ours(own, x, "epsilon-plus-flat(normalisation=handed-on)", 3), expected, 1e-5)
    # Merged with what follows, which zennit does not do: then epsilon is input × gradient, as it is elsewhere.
    slopes = METHODS.make("input-times-gradient")(Passes(own), x, 3).values.double()
    assert close(ours(own, x, "epsilon(epsilon=1e-12)", 3).double(), slopes, 1e-2)
    assert not close(ours(own, x, "epsilon(epsilon=1e-12, normalisation=handed-on)", 3).double(), slopes, 0.5)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_network_like_vgg(composite: str) -> None:
    network, x = vgg().double(), picture(16, 20, 2).double() - 0.5
    expected = theirs(merged(network), x, named(composite, x), 3)
    assert expected.abs().max() > 1e-4
    found = ours(wrap(network, preparation=NORMAL), x, composite, 3)
    assert close(found, expected, 1e-5)
    wrong = ours(wrap(network, preparation=NORMAL), x, "epsilon-gamma-box(gamma=0.3)", 3)
    assert not close(wrong, expected, 1e-2)


def test_rules_without_a_composite_of_their_own() -> None:
    network, x = vgg().double(), picture(16, 20).double() - 0.5
    # zennit's w-square counts the squared bias; the paper knows none.
    options = {"stabilizer": SMALL, "zero_params": "bias"}
    for name, rule in (("w-square", WSquare(**options)), ("z-plus", ZPlus(**options))):
        map_of = LayerMapComposite([*layer_map_base(LEAST), (Linear, rule)])
        found = ours(network, x, f"table(convolution={name}, dense={name}, bias=ignored)", 3)
        assert close(found, theirs(merged(network), x, map_of, 3), 1e-5)


class Flattening(nn.Module):
    """Two parts, flattened between them by a function: captum has no rule for the module."""

    def __init__(self, front: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.front, self.back = front, back

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.back(self.front(x).flatten(1))
        return scores


@pytest.mark.filterwarnings("ignore:Setting")
def test_epsilon_is_that_of_captum() -> None:
    """Captum normalises apart, takes no module twice and none in place: a network without any of these."""
    front = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()]
    network = seeded(Flattening(nn.Sequential(*front, nn.AdaptiveAvgPool2d(2)), nn.Linear(32, 5)), 6)
    x = picture(12, 14) - 0.5
    expected = captum.LRP(copy.deepcopy(network)).attribute(x.clone(), target=2).detach()
    assert close(ours(network, x, "epsilon(epsilon=1e-9, scale=absolute)", 2), expected, AGREED)


@pytest.mark.real
@pytest.mark.parametrize("composite", COMPOSITES)
def test_resnet18_with_its_real_weights(composite: str, resnet18: nn.Module, data_dir: Path) -> None:
    """The network as it is, against zennit on one that is merged, and whose blocks are rewritten by its canoniser."""
    x, _ = NORMAL.prepare(load(sorted((data_dir / "photos" / "coco").glob("*.jpg"))[0]))
    target = int(resnet18(x).argmax())
    expected = theirs(merged(resnet18), x, named(composite, x, canonizers=[ResNetCanonizer()]), target)
    assert close(ours(wrap(resnet18, preparation=NORMAL), x, composite, target), expected, AGREED)
