"""Linear layers by oneDNN: the same up to rounding, only where no kink is on the way, and only in networks of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.models.targets import Target
from sightline.passes import linear
from sightline.passes.linear import ByOneDnn, QuickLinear, is_linear, quick_linear
from sightline.passes.passes import Passes

PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


class Tokens(nn.Module):
    """Patches, two layers with an activation between them, and attention."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.embed, self.wide = nn.Conv2d(3, 128, 4, 4), nn.Linear(128, 384)
            self.narrow, self.head = nn.Linear(384, 128), nn.Linear(128, 7)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> Any:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return self.head(self.narrow(self.activation(self.wide(tokens))).mean(1))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Which products oneDNN was given, on a machine where it is faster."""
    seen: list[tuple[int, ...]] = []
    own = linear._multiplied

    def noted(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        seen.append((*given.shape, weight.shape[0]))
        return own(given, weight, bias)

    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(linear, "_multiplied", noted)
    monkeypatch.setattr(linear, "faster", lambda _threads: True)
    monkeypatch.setattr(linear, "_WEIGHTS", 10_000)
    return seen


@pytest.mark.parametrize("bias", [True, False])
def test_forward_back_and_back_again_are_those_of_torch(bias: bool) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    draw = torch.Generator().manual_seed(0)
    given = torch.randn(3, 50, 200, generator=draw).transpose(0, 1).requires_grad_()
    weight = torch.randn(300, 200, generator=draw)
    added = torch.randn(300, generator=draw) if bias else None

    def asked(multiply: Any) -> list[torch.Tensor]:
        found = multiply(given, weight, added)
        (back,) = torch.autograd.grad((found**3).sum() / 1e4, given, create_graph=True)
        (again,) = torch.autograd.grad((back**2).sum() / 1e4, given)
        return [found, back, again]

    for found, expected in zip(asked(ByOneDnn.apply), asked(functional.linear), strict=True):
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_what_it_gives_may_be_written_over() -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    draw = torch.Generator().manual_seed(0)
    given, weight = (torch.randn(*size, generator=draw) for size in ((3, 50, 200), (300, 200)))
    leaf = given.clone().requires_grad_()
    found = ByOneDnn.apply(leaf, weight, None).add_(1.0)
    assert torch.allclose(found, functional.linear(given, weight) + 1, atol=1e-4)
    assert torch.allclose(torch.autograd.grad(found.sum(), leaf)[0], weight.sum(0).expand(3, 50, 200), atol=1e-3)


def test_gradients_of_a_smooth_network_take_it_and_are_the_same(calls: list[tuple[int, ...]]) -> None:
    network = Tokens(nn.GELU()).eval()
    passes = Passes(network, runtime="eager")
    found = passes.gradients(PIXELS, Target.of(1, 2))
    assert len(calls) == 4  # two layers, forward and back
    leaf = PIXELS.clone().requires_grad_()
    (expected,) = torch.autograd.grad(network(leaf)[:, 1].sum(), leaf)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    with torch.no_grad():
        assert torch.allclose(passes.scores(1 - PIXELS), network(1 - PIXELS), atol=1e-6)
    assert len(calls) == 6


def test_behind_a_kink_gradients_are_left_as_the_network_gives_them(calls: list[tuple[int, ...]]) -> None:
    network = Tokens(nn.ReLU()).eval()
    Passes(network).gradients(PIXELS, Target.of(1, 2))
    assert calls == []


def test_small_ones_trained_ones_and_networks_of_convolutions_are_left_alone(
    calls: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, weight = torch.randn(400, 128), torch.randn(384, 128)
    with QuickLinear():
        functional.linear(given[:20], weight)
        functional.linear(given.double(), weight.double())
        functional.linear(torch.randn(1 << 16, 128), weight[0])  # of one number, which oneDNN's product does not know
        functional.linear(given, weight.clone().requires_grad_())
        with torch.autocast("cpu", torch.bfloat16):
            functional.linear(given, weight)
    assert calls == []
    with QuickLinear():
        functional.linear(given, weight)
    assert len(calls) == 1
    assert is_linear(Tokens(nn.GELU()))
    convolutional = nn.Sequential(nn.Conv2d(3, 64, 5), nn.Flatten(), nn.Linear(64, 5))
    assert not is_linear(convolutional)
    assert not linear.serves(torch.compile(Tokens(nn.GELU())), torch.device("cpu"))
    monkeypatch.setattr(linear, "_WEIGHTS", 1_000_000)
    assert not is_linear(Tokens(nn.GELU()))
    assert not isinstance(quick_linear(convolutional, torch.device("cpu")), QuickLinear)


def test_the_trial_says_no_where_it_is_slower_or_wrong_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def trial() -> bool:
        return linear.faster.__wrapped__(1)

    times = {functional.linear: 2.0, linear._multiplied: 1.0}
    monkeypatch.setattr(linear, "_seconds", lambda way, *_: times[way])
    assert trial() is torch.backends.mkldnn.is_available()
    times[functional.linear] = 1.1
    assert trial() is False
    times[functional.linear] = 2.0
    wrong = lambda given, weight, bias: functional.linear(given, weight, bias) + 1  # noqa: E731
    times[wrong] = 1.0
    monkeypatch.setattr(linear, "_multiplied", wrong)
    assert trial() is False

    def gone(*_: Any) -> Any:
        raise AttributeError("_linear_pointwise")

    monkeypatch.setattr(linear, "_multiplied", gone)
    assert trial() is False
