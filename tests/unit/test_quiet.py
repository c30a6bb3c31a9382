"""A quiet network: evaluation mode, frozen, and put back exactly, in whatever order blocks end."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from torch import nn

from sightline.models.quiet import mixes_batch_mates, quiet


def careless() -> nn.Module:
    """Batch normalisation and dropout, some parts in training mode, one parameter frozen."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.LazyLinear(2))
    network(torch.rand(2, 3, 6, 6))
    network[2].training = False
    network[0].weight.requires_grad_(False)
    return network


def modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]


def wants(network: nn.Module) -> list[bool]:
    return [parameter.requires_grad for parameter in network.parameters()]


def test_inside_everything_is_quiet_and_outside_as_before() -> None:
    network = careless()
    before = modes(network), wants(network), copy.deepcopy(network.state_dict())
    with quiet(network):
        assert not any(modes(network))
        assert not any(wants(network))
        network(torch.rand(2, 3, 6, 6))
    assert (modes(network), wants(network)) == before[:2]
    assert all(torch.equal(value, before[2][name]) for name, value in network.state_dict().items())


def test_it_is_put_back_when_something_fails() -> None:
    network = careless()
    before = modes(network), wants(network)
    with pytest.raises(KeyboardInterrupt), quiet(network):
        raise KeyboardInterrupt
    assert (modes(network), wants(network)) == before


@pytest.mark.parametrize("order", ["nested", "crossed"])
def test_blocks_may_end_in_any_order(order: str) -> None:
    network = careless()
    before = modes(network), wants(network)
    one, other = quiet(network), quiet(network)
    one.__enter__()
    other.__enter__()
    first, second = (other, one) if order == "nested" else (one, other)
    first.__exit__(None, None, None)
    assert not any(modes(network)), "the network woke while one block was still inside"
    assert not any(wants(network))
    second.__exit__(None, None, None)
    assert (modes(network), wants(network)) == before


class Counting(nn.Module):
    """Writes into one buffer, puts another in the place of a second, and lets a third grow."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.register_buffer("last", torch.full((2,), torch.nan))
        self.register_buffer("grid", torch.zeros(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.last = x.flatten()[:2].detach().clone()
        self.grid = torch.arange(x.shape[-1]).float()
        return x.flatten(1)


def test_buffers_come_back_by_value_and_by_identity() -> None:
    network = Counting()
    kept = dict(network.named_buffers())
    with quiet(network):
        network(torch.ones(1, 3, 2, 5))
        assert network.calls == 1
        assert len(network.grid) == 5
    assert all(value is kept[name] for name, value in network.named_buffers())
    assert network.calls == 0
    assert network.last.isnan().all()
    assert network.grid.shape == (0,)


def test_own_train_and_eval_are_never_called() -> None:
    class Stubborn(nn.Linear):
        def train(self, mode: bool = True) -> Any:
            raise AssertionError

        def eval(self) -> Any:
            raise AssertionError

    network = Stubborn(2, 2)
    with quiet(network):
        assert not network.training
    assert network.training


def test_another_thread_waits() -> None:
    network, inside = nn.Linear(2, 2), []

    def come_in() -> None:
        with quiet(network):
            inside.append(network.training)

    thread = threading.Thread(target=come_in)
    with quiet(network):
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
        assert not inside
    thread.join(5)
    assert inside == [False]
    assert network.training


def test_the_callers_modes_are_not_touched() -> None:
    with torch.inference_mode(), quiet(nn.Linear(2, 2)):
        assert torch.is_inference_mode_enabled()
    with torch.no_grad(), quiet(nn.Linear(2, 2)):
        assert not torch.is_grad_enabled()


def test_a_function_needs_no_quiet() -> None:
    with quiet(None):
        pass
    assert not mixes_batch_mates(None)


def test_batch_normalisation_without_statistics_mixes_batch_mates() -> None:
    assert mixes_batch_mates(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)))
    assert not mixes_batch_mates(careless())


def test_a_network_is_forgotten_when_it_is_gone() -> None:
    from sightline.models import quiet as room

    network = nn.Linear(2, 2)
    before = len(room._HOLDS)
    with quiet(network):
        assert len(room._HOLDS) == before + 1
    del network
    assert len(room._HOLDS) == before
