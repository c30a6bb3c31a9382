"""Batches are handed over channels last where that changes nothing, and as they came where it might."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.passes.passes import Passes

PIXELS = torch.rand(6, 3, 90, 110, generator=torch.Generator().manual_seed(2))


class Seen(nn.Module):
    """A small network that remembers how its batches came."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)
        self.layouts: list[bool] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.layouts.append(pixels.is_contiguous(memory_format=torch.channels_last))
        return self.last(self.features(pixels).mean((2, 3)))

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """What is averaged."""
        return self.first(pixels).relu()


class Views(Seen):
    """Refuses any layout but the plain one."""

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.first(pixels.view(-1).view(pixels.shape)).relu()


class Reads(Seen):
    """Takes its rows from memory as it lies: with another layout a quite different answer, and no error."""

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        size = pixels.shape
        plain = (size[1] * size[2] * size[3], size[2] * size[3], size[3], 1)
        return self.first(pixels.as_strided(size, plain)).relu()


class InPlace(Seen):
    """Writes into what it is given."""

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        return super().features(pixels.mul_(2))


def scores(network: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    with Passes(network) as passes:
        passes.scores(pixels[:1])  # tells the head
        return passes.scores(pixels)


@pytest.mark.parametrize("make", [Seen, Views, Reads, InPlace])
def test_scores_are_those_of_the_plain_layout(make: type[Seen]) -> None:
    network = make()
    with torch.no_grad():
        expected = network(PIXELS.clone())
    before = PIXELS.clone()
    for _ in range(2):
        assert torch.allclose(scores(network, PIXELS), expected, rtol=0, atol=1e-6)
    assert torch.equal(PIXELS, before)


def test_networks_on_values_get_channels_last_and_others_do_not() -> None:
    for make, layouts in ((Seen, [True]), (InPlace, [True]), (Views, [False]), (Reads, [False])):
        network = make()
        scores(network, PIXELS)
        network.layouts.clear()
        scores(network, PIXELS)
        assert network.layouts[-1:] == layouts, make.__name__


def test_without_the_watch_memory_would_be_misread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch is what keeps a network from a wrong answer."""
    from sightline.passes import layouts

    network = Reads()
    with torch.no_grad():
        expected = network(PIXELS)
    monkeypatch.setattr(
        layouts.WatchingMemory,
        "__torch_function__",
        lambda _self, func, _types, args=(), kwargs=None: func(*args, **(kwargs or {})),
    )
    assert not torch.allclose(scores(network, PIXELS), expected, atol=1e-3)


def test_few_or_small_pictures_and_double_precision_stay_as_they_are() -> None:
    network = Seen()
    scores(network, PIXELS[:2])
    scores(network, PIXELS[:, :, :9, :11])
    assert not any(network.layouts)
    network = Seen().double()
    scores(network, PIXELS.double())
    assert not any(network.layouts)
