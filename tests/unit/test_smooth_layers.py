"""A layer with only smooth operations behind it may be looked at in another layout; any other is as it stands."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.models.smooth import smooth_behind
from sightline.models.survey import Seen, Survey
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.plan import batch_size, picture_bytes

PIXELS = torch.rand(6, 3, 96, 96, generator=torch.Generator().manual_seed(3))
TARGET = Target.of(1, 6)


class Watched(nn.Module):
    """A small network that remembers how its batches came; `end` stands between its last convolution and its head."""

    def __init__(self, end: nn.Module) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second, self.head = nn.Conv2d(3, 8, 3, 4, 1), nn.Conv2d(8, 16, 3, 4, 1), nn.Linear(16, 4)
        self.end = end
        self.turned: list[bool] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        deep = self.end(self.second(self.first(pixels).relu()))
        self.turned.append(pixels.is_contiguous(memory_format=torch.channels_last))
        return self.head(self.pooled(deep))

    def pooled(self, deep: torch.Tensor) -> torch.Tensor:
        """What the head is given."""
        return deep.mean((2, 3))


class Views(Watched):
    """Refuses any layout but the plain one."""

    def pooled(self, deep: torch.Tensor) -> torch.Tensor:
        return deep.view(len(deep), -1).view(len(deep), 16, -1).mean(2)


def looked(network: nn.Module, name: str | None, times: int = 3) -> list[torch.Tensor]:
    with Passes(network) as passes:
        views = [passes.layer(PIXELS, name, TARGET) for _ in range(times)]
    return [torch.stack([view.activations, view.gradients]) for view in views]


@pytest.mark.parametrize("end", [nn.ReLU(), nn.SiLU(), nn.BatchNorm2d(16)], ids=lambda end: type(end).__name__)
@pytest.mark.parametrize("name", ["end", None])
def test_a_layer_before_a_smooth_rest_is_soon_asked_channels_last(end: nn.Module, name: str | None) -> None:
    network = Watched(end)
    first, *others = looked(network, name)
    assert network.turned == [False, True, True]
    assert all(torch.allclose(first, other, rtol=0, atol=1e-6) for other in others)
    assert first[1].any()


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_layer_before_a_kink_is_asked_as_it_stands(name: str) -> None:
    network = Watched(nn.ReLU())
    first, *others = looked(network, name)
    assert not any(network.turned)
    assert all(torch.equal(first, other) for other in others)


def test_two_layers_are_as_the_first_of_them() -> None:
    network = Watched(nn.ReLU())
    with Passes(network) as passes:
        for _ in range(3):
            with passes.shared(PIXELS, layers=["first", "end"]):
                passes.layer(PIXELS, "end", TARGET)
    assert not any(network.turned)


def test_gradients_at_the_pixels_are_those_of_the_network_as_it_stands() -> None:
    network = Watched(nn.ReLU())
    with Passes(network) as passes:
        for _ in range(3):
            with passes.shared(PIXELS, gradients=True, layers=["end"]):
                passes.gradients(PIXELS, TARGET)
    assert not any(network.turned)


def test_a_network_that_refuses_the_layout_is_asked_again_and_its_layer_ran_once() -> None:
    network = Views(nn.ReLU())
    first, *others = looked(network, "end", times=4)
    assert network.turned == [False, True, False, False, False]
    assert all(torch.equal(first, other) for other in others)


def test_smooth_is_told_from_the_operations() -> None:
    layer = torch.randn(2, 5, requires_grad=True)
    weight = torch.randn(5, 5)
    assert smooth_behind(layer @ weight, [])
    assert smooth_behind(functional.gelu(layer @ weight).softmax(1), [])
    for kink in (torch.relu, torch.abs, functional.hardswish, lambda x: x.clamp(0, 6), lambda x: x.amax(1)):
        assert not smooth_behind(kink(layer @ weight), []), kink
    deep = torch.relu(layer)
    assert smooth_behind(deep @ weight, [deep])
    assert not smooth_behind(deep @ weight + torch.relu(layer), [deep])


def test_memory_for_a_layer_is_that_of_what_follows() -> None:
    seen = tuple(
        Seen(name=name, kind="Conv2d", shape=(2, 10, side, side), calls=1, passage=False, part=False)
        for name, side in (("early", 100), ("middle", 50), ("late", 10))
    )
    survey = Survey(seen, 2, (100, 100), 400_000, 504_000)
    assert survey.bytes_from("late") == 4 * 10 * 100
    assert survey.bytes_from("early") == 4 * 10 * (10_000 + 2_500 + 100)
    pixels = torch.zeros(1, 3, 100, 100)
    late, early, every = (
        picture_bytes(survey, pixels, gradients=gradients) for gradients in (("late",), ("late", "early"), True)
    )
    assert picture_bytes(survey, pixels, gradients=False) < late < early
    assert late == 4 * 400_000 + 2 * 4_000
    assert every == 504_000 * 13 // 10
    budget = 10_000_000
    assert batch_size(survey, pixels, gradients=("late",), memory=budget) == budget // (late + 120_000)
