"""With `precision=fast`, gradients at the pixels run forward in float32 and back in bfloat16: the order holds."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional

from sightline.attribution.table import METHODS
from sightline.models.targets import Target
from sightline.passes import rounded
from sightline.passes.passes import Passes
from sightline.passes.rounded import RoundedBack, RoundedConvolution, RoundedLinear

PIXELS = torch.rand(4, 3, 64, 72, generator=torch.Generator().manual_seed(2))
ROUNDING = 2.0**-7  # bfloat16 keeps eight bits, and both factors and the sum are rounded


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that multiplies bfloat16: the numbers are the same on all others, where it is only slower."""
    monkeypatch.setattr(rounded, "_native", lambda _device: True)


def deep() -> nn.Sequential:
    """Many kinks one behind the other, as in real networks."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body: list[nn.Module] = []
        for place in range(12):
            body += [nn.Conv2d(24 if place else 3, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU()]
        net = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5))
    return net.eval().requires_grad_(False)


def gradients(network: nn.Module, precision: str) -> torch.Tensor:
    return Passes(network, precision=precision).gradients(PIXELS, Target.of(1, len(PIXELS)))


def order(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(spearmanr(found.numpy().ravel(), expected.numpy().ravel()).statistic)


def test_order_of_pixels_is_that_of_float32() -> None:
    network = deep()
    expected = gradients(network, "float32")
    found = gradients(network, "fast")
    assert order(found, expected) > 0.999
    assert not torch.equal(found, expected)
    # The broken twin, what bfloat16 both ways does: values fall on other sides of a ReLU.
    leaf = PIXELS.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        scores = network(leaf)
    both_ways = order(torch.autograd.grad(scores[:, 1].sum(), leaf)[0], expected)
    assert 1 - both_ways > 10 * (1 - order(found, expected))


def test_forward_pass_is_not_rounded() -> None:
    network = deep()
    with RoundedBack():
        scores = network(PIXELS.clone().requires_grad_())
    assert torch.equal(scores, network(PIXELS))


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_rules_know_what_is_rounded(rule: str) -> None:
    network, target = deep(), Target.of(1, len(PIXELS))
    expected = Passes(network).gradients(PIXELS, target, rule=rule)
    found = Passes(network, precision="fast").gradients(PIXELS, target, rule=rule)
    assert order(found, expected) > 0.99  # deconvnet has kinks on the way back, too


@pytest.mark.parametrize(
    "how", [(), (None, 2), (None, 2, 1), (None, (2, 1), (0, 2), 2), (None, 1, 1, 1, 3), (torch.ones(6), 1, 0)]
)
def test_convolution_runs_back_as_torchs_own(how: tuple[object, ...]) -> None:
    chance = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 6, 19, 17, generator=chance)
    groups = how[4] if len(how) > 4 else 1
    weight = torch.randn(6, 6 // groups, 3, 3, generator=chance)
    exact, leaf = pixels.double().requires_grad_(), pixels.clone().requires_grad_()
    plain = torch.conv2d(exact, weight.double(), *(v.double() if isinstance(v, torch.Tensor) else v for v in how))
    found = RoundedConvolution.apply(leaf, weight, *how)
    back = torch.randn(plain.shape, generator=chance)
    (expected,) = torch.autograd.grad(plain, exact, back.double())
    (rounded_back,) = torch.autograd.grad(found, leaf, back)
    assert torch.allclose(found.double(), plain, atol=1e-4)
    assert float((rounded_back - expected).norm() / expected.norm()) < ROUNDING


def test_linear_layer_runs_back_as_torchs_own() -> None:
    chance = torch.Generator().manual_seed(1)
    tokens, weight = torch.randn(2, 5, 40, generator=chance).requires_grad_(), torch.randn(30, 40, generator=chance)
    back = torch.randn(2, 5, 30, generator=chance)
    (expected,) = torch.autograd.grad(functional.linear(tokens, weight), tokens, back)
    (found,) = torch.autograd.grad(RoundedLinear.apply(tokens, weight), tokens, back)
    assert float((found - expected).norm() / expected.norm()) < ROUNDING


def test_what_is_trained_or_in_other_numbers_is_left_alone() -> None:
    trained, doubled = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3).double().requires_grad_(False)
    with RoundedBack():
        scores = trained(PIXELS.clone().requires_grad_()).sum()
        leaf = PIXELS.double().requires_grad_()
        assert "Rounded" not in type(doubled(leaf).grad_fn).__name__
    scores.backward()
    assert trained.weight.grad is not None


def test_machines_without_bfloat16_round_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounded, "_native", lambda _device: False)
    network = deep()
    assert torch.allclose(gradients(network, "fast"), gradients(network, "float32"), rtol=1e-3, atol=1e-8)


def test_a_way_that_hangs_on_every_digit_stays_in_float32() -> None:
    network, method = deep(), METHODS.make("guided-ig(steps=4)")
    fast = Passes(network, precision="fast")
    found = method(fast, PIXELS[:1], 1).values
    assert torch.allclose(found, method(Passes(network), PIXELS[:1], 1).values, rtol=1e-3, atol=1e-9)
    assert fast.count.backward == 4
