"""Class activation maps by a program to the layer and the network behind it: the network's own maps, as it is now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sightline.attribution.table import METHODS
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.runtimes import openvino_program
from sightline.passes.runtimes.question import Runtime
from small import seeded

pytestmark = pytest.mark.skipif(not openvino_program.installed(), reason="OpenVINO is not installed (extra: fast)")

SCALE = 1.0


def pictures(count: int = 6, size: int = 48) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def convolutions() -> list[nn.Module]:
    return [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU(inplace=True)]


class Net(nn.Module):
    """Convolutions, and behind them what a subclass says."""

    features: nn.Sequential
    head: nn.Linear

    def __init__(self, behind: int = 12) -> None:
        super().__init__()
        self.features = nn.Sequential(*convolutions())
        self.head = nn.Linear(behind, 4)
        seeded(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(SCALE * self.features(SCALE * x).mean((2, 3)))


class WorksInPlace(Net):
    """Writes over what the layer gave."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mul_(2.0).mean((2, 3)))


class LooksBack(Net):
    """Behind the layer it looks at the picture again."""

    def __init__(self) -> None:
        super().__init__(15)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.features(x).mean((2, 3)), x.mean((2, 3))], 1))


class OfItsSize(Net):
    """Multiplies by what depends on the size of the picture, which another picture at the start would have changed."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).sum((2, 3)) * (1 / x.shape[-1]))


class Small(Net):
    """Refuses small pictures."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] < 40:
            raise ValueError("too small")
        return super().forward(x)


class Kinked(Net):
    """A ReLU behind the layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.features(x).mean((2, 3)) - 0.2))


class Twice(Net):
    """Runs its second convolution twice."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Conv2d(12, 12, 1)
        seeded(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.again(self.again(self.features(x))).mean((2, 3)))


def ask(
    network: nn.Module, runtime: Runtime = "openvino", method: str = "grad-cam(layer=features)", **how: Any
) -> tuple[torch.Tensor, str, Passes]:
    """The maps of some pictures, what ran, and the passes, the second time that it is asked."""
    pixels, asked = pictures(), METHODS.make(method)
    target = Target.of([0, 1, 2, 3, 0, 1], 6)
    for _ in range(2):
        passes = Passes(wrap(network, head="softmax"), runtime=runtime, **how)
        with passes, passes.shared(pixels, layers=["features"]):
            passes.ran()
            values = asked(passes, pixels, target).values
            ran = passes.ran()
    return values, ran, passes


@pytest.mark.parametrize("make", [Net, WorksInPlace, Small])
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "eigen-cam", "cam"])
def test_maps_are_the_networks_and_the_result_says_what_ran(make: Callable[[], nn.Module], method: str) -> None:
    if method == "cam" and make is WorksInPlace:
        pytest.skip("CAM is not defined there")
    network, spec = make(), f"{method}(layer=features)"
    plain, by_torch, eager = ask(network, "eager", spec)
    found, ran, passes = ask(network, "openvino", spec)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-5 * float(plain.abs().max()))
    assert by_torch == "torch"
    assert ran.startswith("openvino 20")
    assert ran.endswith("float32 to layer features")
    assert passes.count == eager.count
    assert passes._runner.questions.by_program == 6


def test_the_pass_that_makes_a_program_is_counted_once() -> None:
    passes = Passes(wrap(Net(), head="softmax"), runtime="openvino")
    with passes, passes.shared(pictures(), layers=["features"]):
        assert passes.count.forward == 6
        assert passes._runner.questions.by_program == 6


def test_nothing_is_left_in_the_network() -> None:
    network = Net()
    ask(network)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (LooksBack, "what follows the layer cannot be run alone"),
        (Kinked, ""),
    ],
)
def test_networks_that_cannot_be_cut_there_are_run_by_torch(make: Callable[[], nn.Module], reason: str) -> None:
    network = make()
    found, ran, _ = ask(network)
    assert torch.equal(found, ask(network, "eager")[0])
    assert ran == (f"torch ({reason})" if reason else "torch")


def test_a_head_that_knows_the_size_of_the_picture_gets_a_picture_of_it() -> None:
    network = OfItsSize()
    found, ran, _ = ask(network)
    plain = ask(network, "eager")[0]
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-5 * float(plain.abs().max()))
    assert ran.startswith("openvino")


def test_a_layer_that_runs_twice_is_refused_as_ever() -> None:
    with pytest.raises(Exception, match="2 times"):
        ask(Twice(), "openvino", "grad-cam(layer=again)")


def test_hooks_of_the_user_are_called() -> None:
    network, calls = Net(), list[int]()
    network.features.get_submodule("2").register_forward_hook(lambda *_: calls.append(1))
    _, ran, _ = ask(network)
    assert ran == "torch"
    assert len(calls) == 2


# ---- of the network as it is now


def _by_data(network: Net) -> None:
    network.features.get_submodule("2").get_parameter("weight").data[0] *= 2.0


def _of_the_head(network: Net) -> None:
    network.head.weight.data.copy_(network.head.weight.data.flip(0).clone())


def _global(_network: Net) -> None:
    globals()["SCALE"] = 1.5


@pytest.mark.parametrize("change", [_by_data, _of_the_head, _global])
def test_the_network_is_asked_as_it_is_now(change: Callable[[Net], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SCALE", 1.0)
    network = Net()
    before, ran, _ = ask(network)
    assert ran.startswith("openvino")
    change(network)
    pixels, target = pictures(), Target.of([0, 1, 2, 3, 0, 1], 6)
    with Passes(wrap(network, head="softmax"), runtime="auto") as passes, passes.shared(pixels, layers=["features"]):
        found = METHODS.make("grad-cam(layer=features)")(passes, pixels, target).values
        assert passes.ran() == "torch"
    assert torch.equal(found, ask(network, "eager")[0])
    assert not torch.allclose(found, before)


# ---- when it pays


def test_few_pictures_make_no_program() -> None:
    network = Net()
    _, ran, passes = ask(network, "auto")
    assert ran == "torch"
    assert passes._runner.questions.by_program == 0


def test_fast_is_within_bfloat16() -> None:
    if not openvino_program.has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    network = Net()
    plain = ask(network, "eager")[0]
    found, ran, _ = ask(network, precision="fast")
    assert "bfloat16" in ran
    assert 1e-6 < float((found - plain).abs().max() / plain.abs().max()) < 5e-2
