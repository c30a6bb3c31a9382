"""Gradients at the pixels run channels last, and yet with every bit of the forward pass as the network would have."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.models.targets import Target
from sightline.passes import same_bits
from sightline.passes.passes import Passes
from sightline.passes.same_bits import ask_with_same_bits
from sightline.passes.turned import TurnedBack, norm

PIXELS = torch.rand(6, 3, 90, 110, generator=torch.Generator().manual_seed(2))


class Block(nn.Module):
    """Convolutions of several kinds, normalised with stored statistics, with kinks; remembers how pictures came."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = nn.Conv2d(3, 32, 7, stride=2, padding=3, bias=False)
            self.norm = nn.BatchNorm2d(32)
            self.deep = nn.Conv2d(32, 32, 3, padding=1)
            self.apart = nn.Conv2d(32, 32, 3, padding=1, groups=32)
            self.last = nn.Linear(32, 4)
            self.norm.running_mean, self.norm.running_var = torch.randn(32), torch.rand(32) + 0.5
        self.eval().requires_grad_(False)
        self.layouts: list[bool] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.layouts.append(pixels.is_contiguous(memory_format=torch.channels_last))
        first = functional.max_pool2d(self.norm(self.first(pixels)).relu_(), 3, 2)
        return self.last(self.features(first).mean((2, 3)))

    def features(self, first: torch.Tensor) -> torch.Tensor:
        """What is averaged."""
        return functional.relu(self.deep(first) + self.apart(first))


class Reads(Block):
    """Takes its rows from memory as it lies."""

    def features(self, first: torch.Tensor) -> torch.Tensor:
        size = first.shape
        return super().features(first.as_strided(size, (size[1] * size[2] * size[3], size[2] * size[3], size[3], 1)))


class Views(Block):
    """Refuses any layout but the plain one."""

    def features(self, first: torch.Tensor) -> torch.Tensor:
        return super().features(first.view(-1).view(first.shape))


def plain_gradients(network: nn.Module) -> torch.Tensor:
    leaf = PIXELS.clone().requires_grad_()
    return torch.autograd.grad(network(leaf)[:, 1].sum(), leaf)[0]


@pytest.mark.parametrize("make", [Block, Reads, Views])
def test_gradients_are_those_of_the_network_as_given(make: type[Block]) -> None:
    network = make()
    expected = plain_gradients(network)
    for _ in range(2):
        found = Passes(network).gradients(PIXELS, Target.of(1, len(PIXELS)))
        assert torch.allclose(found, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(("make", "turned"), [(Block, True), (Reads, False), (Views, False)])
def test_only_networks_on_values_are_turned(make: type[Block], turned: bool) -> None:
    network = make()
    for _ in range(2):
        network.layouts.clear()
        Passes(network).gradients(PIXELS, Target.of(1, len(PIXELS)))
    assert network.layouts[-1] is turned


def test_the_forward_pass_has_the_same_bits() -> None:
    network = Block()
    seen: list[torch.Tensor] = []
    network.deep.register_forward_hook(lambda _, __, out: seen.append(out.detach().clone()))
    expected = network(PIXELS)
    found = ask_with_same_bits(network, PIXELS, lambda places: network(PIXELS.to(memory_format=places, copy=True)))
    assert network.layouts[-1]
    assert torch.equal(found, expected)
    assert torch.equal(seen[0], seen[-1])


def test_an_operation_with_other_bits_that_was_taken_for_harmless_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: were all operations thought to be the same, the trial of the whole pass would tell."""
    turned = PIXELS.to(memory_format=torch.channels_last)
    deep = nn.Conv2d(3, 64, 3).requires_grad_(False)
    wide = nn.Conv2d(64, 64, 3).requires_grad_(False)
    both = nn.Sequential(deep, nn.ReLU(), wide, nn.Flatten(), nn.Linear(64 * 86 * 106, 2).requires_grad_(False))
    if torch.equal(both[:3](turned), both[:3](PIXELS)):
        pytest.skip("on this machine both layouts give the same bits for these convolutions")
    monkeypatch.setattr(same_bits, "_sums", lambda _: False)
    layouts: list[torch.memory_format] = []

    def ask(places: torch.memory_format) -> torch.Tensor:
        layouts.append(places)
        return both(PIXELS.to(memory_format=places, copy=True))

    ask_with_same_bits(both, PIXELS, ask)
    assert layouts[-1] == torch.preserve_format


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("how", [(), (2,), (1, 1), ((2, 1), (0, 1), (1, 2))])
def test_a_convolution_runs_back_as_autograd_says(groups: int, how: tuple[object, ...]) -> None:
    weight, bias = torch.randn(8, 8 // groups, 3, 3), torch.randn(8)
    rest = (*how, *(1, 0, 1)[len(how) :], groups)
    pixels = torch.randn(2, 8, 9, 11)
    one = pixels.to(memory_format=torch.channels_last).requires_grad_()
    other = pixels.clone().requires_grad_()
    found, expected = TurnedBack.apply(one, weight, bias, *rest), torch.conv2d(other, weight, bias, *rest)
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    back = torch.randn(found.shape)
    (here,), (there,) = torch.autograd.grad(found, one, back), torch.autograd.grad(expected, other, back)
    assert torch.allclose(here, there, atol=1e-5)


@pytest.mark.parametrize("affine", [True, False])
def test_a_normalisation_runs_back_as_a_product(affine: bool) -> None:
    mean, variance = torch.randn(5), torch.rand(5) + 0.1
    weight, bias = (torch.randn(5), torch.randn(5)) if affine else (None, None)
    pixels = torch.randn(2, 5, 4, 3, requires_grad=True)
    found = norm(pixels, mean, variance, weight, bias, eps=1e-3)
    expected = functional.batch_norm(pixels, mean, variance, weight, bias, eps=1e-3)
    assert found is not None
    assert torch.equal(found, expected)
    back = torch.randn(found.shape)
    (here,), (there,) = torch.autograd.grad(found, pixels, back), torch.autograd.grad(expected, pixels, back)
    assert torch.allclose(here, there, rtol=1e-6, atol=1e-6)


def test_a_normalisation_by_the_batchs_own_statistics_is_left_to_torch() -> None:
    pixels = torch.randn(2, 5, 4, 3)
    assert norm(pixels, torch.zeros(5), torch.ones(5), training=True) is None
    assert norm(pixels, None, None) is None
    assert norm(pixels, torch.zeros(5), torch.ones(5), torch.ones(5, requires_grad=True)) is None
