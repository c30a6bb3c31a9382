"""Which pictures go through the network together, and that it makes no difference to what is found."""

from __future__ import annotations

import torch
from torch import nn

from sightline.attribution.result import Attribution
from sightline.runs.explain import explain
from sightline.testing.architectures import Plain
from sightline.testing.networks import seeded

PICTURES = [torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(seed)) for seed in range(5)]


class Batches(nn.Module):
    """Notes how many pictures come at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.batches = seeded(Plain)(), list[int]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(x))
        return self.network(x)


def maps(network: nn.Module, **options: object) -> list[torch.Tensor]:
    found = explain(network, PICTURES, "grad-cam", **options)  # type: ignore[arg-type]
    assert isinstance(found, list)
    return [torch.from_numpy(one.map) for one in found]


def test_the_first_picture_goes_alone_since_it_tells_what_one_needs() -> None:
    network = Batches()
    first = maps(network)
    assert network.batches == [1, 4]
    network.batches.clear()
    again = maps(network)
    assert network.batches == [5]
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(first, again, strict=True))


def test_memory_bounds_the_groups_from_the_second_on() -> None:
    network = Batches()
    maps(network)
    network.batches.clear()
    maps(network, memory=1)
    assert network.batches == [1] * 5


def test_targets_of_several_kinds_are_taken_on_every_call() -> None:
    network = Batches()
    targets: list[object] = [0, (1, 2), "top2", 3, "top"]
    for _ in range(2):
        found = explain(network, PICTURES, "grad-cam", target=targets)
        assert isinstance(found, list)
        assert [one.target.against for one in found] == [None, 2, None, None, None, None]
        assert found[1].target.index == 1
        alone = explain(Batches(), PICTURES[1], "grad-cam", target=(1, 2))
        assert isinstance(alone, Attribution)
        assert (abs(found[1].map - alone.map) <= 1e-6).all()
