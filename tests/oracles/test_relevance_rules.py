"""Layer-wise relevance propagation against sums by hand: every layer a matrix, every output shared out in a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.relevance.lrp import Lrp
from sightline.images.values import ValueRange
from sightline.models.classifier import Classifier
from sightline.models.relevance.composites import COMPOSITES, Composite
from sightline.models.relevance.layer_rules import RULES, LayerRule
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from small import close, seeded

LOW, HIGH = -1.5, 2.0
TIGHT = 1e-9


class Range:
    """A preparation that says only what range its pixels have."""

    def values(self) -> ValueRange:
        return ValueRange(torch.tensor([LOW]), torch.tensor([HIGH]), torch.tensor([0.0]))


def classifier(network: nn.Module) -> Classifier:
    return Classifier(function=network.double(), preparation=Range(), head="softmax", gradients=True)  # type: ignore[arg-type]


def signed(*shape: int, seed: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator, dtype=torch.float64) * (HIGH - LOW) + LOW).float().double()


def lrp(network: nn.Module, x: torch.Tensor, composite: Composite | str, target: int = 1) -> torch.Tensor:
    return Lrp(composite=composite)(Passes(classifier(network)), x, target).values  # type: ignore[arg-type]


# ---- by hand ---------------------------------------------------------------------------------------------------------


def matrix_of(layer: Callable[[torch.Tensor], torch.Tensor], shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights, `outputs inputs`, and bias of what a layer does to a picture of this shape."""
    bias = layer(torch.zeros(1, *shape, dtype=torch.float64)).flatten()
    units = torch.eye(shape.numel(), dtype=torch.float64).view(-1, *shape)
    return torch.stack([layer(unit[None]).flatten() - bias for unit in units], dim=1), bias


def contributions(rule: LayerRule, x: torch.Tensor, w: torch.Tensor, b: float, seen: torch.Tensor) -> list[tuple]:
    """For one output: (factor, what each input contributes, what the bias does); `seen`: what the layer looks at."""
    c, zero = x * w, torch.zeros_like(w)
    if rule.name == "epsilon":
        return [(1.0, c, b)]
    if rule.name == "gamma":
        own = 1.0 if float(c.sum()) + b > 0 else -1.0
        return [(1.0, _more(rule, c, own), float(_more(rule, torch.tensor(b), own)))]
    if rule.name in ("alpha-beta", "z-plus"):
        alpha, beta = (rule.alpha, rule.beta) if rule.name == "alpha-beta" else (1.0, 0.0)  # type: ignore[attr-defined]
        return [(alpha, torch.maximum(c, zero), max(b, 0.0)), (-beta, torch.minimum(c, zero), min(b, 0.0))]
    if rule.name == "z-box":
        return [(1.0, c - LOW * w.clamp(min=0) - HIGH * w.clamp(max=0), 0.0)]
    return [(1.0, w**2 if rule.name == "w-square" else seen, 0.0)]


def shared_by_hand(
    rule: LayerRule,
    x: torch.Tensor,
    matrix: tuple[torch.Tensor, torch.Tensor],
    relevance: torch.Tensor,
    seen: torch.Tensor | None = None,
) -> torch.Tensor:
    """The relevance of the inputs of a linear layer."""
    weight, bias = matrix
    seen = torch.ones_like(weight) if seen is None else seen
    parts = [contributions(rule, x, weight[j], float(bias[j]), seen[j]) for j in range(len(weight))]
    found = torch.zeros_like(x)
    for place in range(len(parts[0])):
        totals = torch.stack([part[place][1].sum() + part[place][2] for part in parts])
        if rule.name == "gamma":
            # Outputs of the one sign are divided apart from those of the other, and each kind has its own size for ε.
            totals_of = [_gamma_totals(rule, x, weight, bias, sign) for sign in (1.0, -1.0)]
            sizes = [float(some.square().mean().sqrt()) for some in totals_of]
        else:
            sizes = [float(totals.square().mean().sqrt())] * 2
        for j, part in enumerate(parts):
            factor, each, _ = part[place]
            z = float(totals[j])
            plain = float((x * weight[j]).sum() + bias[j])
            epsilon = getattr(rule, "epsilon", 1e-6) * (sizes[0] if rule.name != "gamma" or plain > 0 else sizes[1])
            if factor and epsilon:
                found += factor * each / (z + (epsilon if z >= 0 else -epsilon)) * float(relevance[j])
    return found


def _gamma_totals(
    rule: LayerRule, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, own: float
) -> torch.Tensor:
    return _more(rule, x[None] * weight, own).sum(1) + _more(rule, bias, own)


def _more(rule: LayerRule, value: torch.Tensor, own: float) -> torch.Tensor:
    return value * torch.where(value * own > 0, 1 + rule.gamma, 1.0)  # type: ignore[attr-defined]


@dataclass
class Step:
    """A linear layer of a small network: its input, flat, its matrix and which inputs each output looks at."""

    x: torch.Tensor
    matrix: tuple[torch.Tensor, torch.Tensor]
    seen: torch.Tensor


class Small(nn.Module):
    """Convolution with zeros at its edges, ReLU, convolution, ReLU, dense, ReLU, dense."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 3, 3, padding=1, bias=bias), nn.Conv2d(3, 4, 2, stride=2, bias=bias)
        self.three, self.four = nn.Linear(4 * 2 * 2, 5, bias=bias), nn.Linear(5, 3, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.two(self.one(x).relu()).relu().flatten(1)
        scores: torch.Tensor = self.four(self.three(x).relu())
        return scores


def by_hand(network: Small, x: torch.Tensor, rules: list[LayerRule], target: int, bias: str) -> torch.Tensor:
    """The map `c h w` of a picture: `rules` are those of the four layers, in order."""
    network, steps, now = network.double(), [], x
    layers = [network.one, network.two, network.three, network.four]
    for layer in layers:
        weights = {name: value.clone() for name, value in layer.state_dict().items()}
        now = now.flatten(1) if isinstance(layer, nn.Linear) else now
        made = step(layer, now)
        layer.load_state_dict(weights)
        steps.append(made)
        now = layer(now).detach()
        now = now if layer is network.four else now.relu()
    relevance = torch.zeros_like(now[0])
    relevance[target] = now[0, target]
    for rule, made in zip(reversed(rules), reversed(steps), strict=True):
        weight, shift = made.matrix
        shift = torch.zeros_like(shift) if bias == "ignored" else shift
        relevance = shared_by_hand(rule, made.x, (weight, shift), relevance, made.seen)
    return relevance.view(x.shape[1:])


def step(layer: nn.Module, x: torch.Tensor) -> Step:
    with torch.no_grad():
        matrix = matrix_of(layer, x.shape[1:])
        for name, value in layer.named_parameters():
            value.fill_(1.0 if name == "weight" else 0.0)
        seen, _ = matrix_of(layer, x.shape[1:])
    return Step(x.flatten(), matrix, seen)


# ---- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", ["absorbs", "ignored"])
@pytest.mark.parametrize(
    "rules",
    [
        ("epsilon", "epsilon", "epsilon", "epsilon"),
        ("epsilon(epsilon=0.25)", "z-plus", "epsilon(epsilon=0.1)", "z-plus"),
        ("z-box", "gamma", "epsilon", "epsilon"),
        ("w-square", "gamma(gamma=2)", "gamma", "gamma"),
        ("flat", "alpha-beta", "alpha-beta(alpha=1.5, beta=0.5)", "alpha-beta(alpha=1.5, beta=0.5)"),
        ("gamma", "alpha-beta(alpha=0, beta=-1)", "z-plus", "alpha-beta(alpha=3, beta=2)"),
        ("z-plus", "w-square", "flat", "epsilon"),
        ("alpha-beta", "flat", "w-square", "flat"),
    ],
)
def test_rules(rules: tuple[str, str, str, str], bias: str) -> None:
    network, x = seeded(Small(), 9), signed(1, 2, 4, 4)
    first, convolution, dense, last = rules
    table = f"table(first={first}, convolution={convolution}, dense={dense}, last={last}, bias={bias})"
    expected = by_hand(network, x, [RULES.make(rule) for rule in rules], 1, bias)
    assert expected.abs().max() > 1e-2
    assert close(lrp(network, x, table)[0].double(), expected, 1e-6)


def test_the_oracle_tells_rules_apart() -> None:
    """A broken twin: rules that differ in one layer only give maps that this comparison would not let pass."""
    network, x = seeded(Small(), 9), signed(1, 2, 4, 4)
    right = by_hand(network, x, [RULES.make(rule) for rule in ("z-box", "gamma", "epsilon", "epsilon")], 1, "absorbs")
    for wrong in ("table(first=epsilon, convolution=gamma)", "table(first=z-box, convolution=gamma(gamma=0.26))"):
        assert not close(lrp(network, x, wrong)[0].double(), right, 1e-4)


@pytest.mark.parametrize(
    ("composite", "rules"),
    [
        ("epsilon", ("epsilon", "epsilon", "epsilon", "epsilon")),
        ("epsilon-plus", ("z-plus", "z-plus", "epsilon", "epsilon")),
        ("epsilon-plus-flat", ("flat", "z-plus", "epsilon", "epsilon")),
        ("epsilon-gamma-box", ("z-box", "gamma", "epsilon", "epsilon")),
        ("epsilon-alpha2-beta1", ("alpha-beta", "alpha-beta", "epsilon", "epsilon")),
        ("epsilon-alpha2-beta1-flat", ("flat", "alpha-beta", "epsilon", "epsilon")),
        ("table", ("z-plus", "z-plus", "epsilon", "epsilon")),
    ],
)
def test_composites(composite: str, rules: tuple[str, ...]) -> None:
    network, x = seeded(Small(), 9), signed(1, 2, 4, 4)
    expected = by_hand(network, x, [RULES.make(rule) for rule in rules], 2, "absorbs")
    assert close(lrp(network, x, composite, target=2)[0].double(), expected, 1e-6)
    assert composite in COMPOSITES


# ---- what stands between linear layers -------------------------------------------------------------------------------


class Block(nn.Module):
    """A residual block with batch normalisation, its pooling and its sum as they are given."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 3, padding=1)
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.linear, self.inplace = nn.Linear(3, 3), inplace

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem(x), inplace=self.inplace)
        inner = self.norm(self.conv(x))
        if self.inplace:
            inner += x
        else:
            inner = x + inner
        scores: torch.Tensor = self.linear(functional.relu(inner, self.inplace).mean((2, 3)))
        return scores


def with_statistics(network: nn.Module, seed: int = 3) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=generator)
            module.running_var = torch.rand(module.num_features, generator=generator) + 0.5
            assert module.weight is not None
            module.weight.data = torch.randn(module.num_features, generator=generator)
            module.bias.data = torch.randn(module.num_features, generator=generator)
    return network.eval()


@pytest.mark.parametrize("rule", ["epsilon", "z-plus", "alpha-beta", "gamma"])
@pytest.mark.parametrize("inplace", [False, True])
def test_a_residual_block_with_batch_normalisation(rule: str, inplace: bool) -> None:
    network = with_statistics(seeded(Block(inplace), 5)).double()
    x, made = signed(1, 2, 4, 5), RULES.make(rule)
    assert isinstance(network, Block)
    found = lrp(network, x, f"table(convolution={rule}, dense={rule})")
    a = network.stem(x).relu().detach()
    inner = network.norm(network.conv(a)).detach()
    out = (a + inner).relu()
    mean = out.mean((2, 3))
    r = torch.zeros(3, dtype=torch.float64)
    r[1] = network.linear(mean)[0, 1].detach()
    weight, bias = network.linear.weight.detach(), network.linear.bias.detach()
    r = shared_by_hand(made, mean[0], (weight, bias), r)
    # The mean and the sum: each value in proportion to what it adds.
    r_out = (out / out.sum((2, 3), keepdim=True)).nan_to_num()[0] * r[:, None, None]
    total = a + inner
    r_skip, r_inner = (torch.where(total == 0, 0.0, part / total)[0] * r_out for part in (a, inner))
    folded = matrix_of(lambda given: network.norm(network.conv(given)).detach(), a.shape[1:])
    r_a = r_skip.flatten() + shared_by_hand(made, a.flatten(), folded, r_inner.flatten())
    stem = matrix_of(lambda given: network.stem(given).detach(), x.shape[1:])
    expected = shared_by_hand(made, x.flatten(), stem, r_a).view(x.shape[1:])
    assert close(found[0].double(), expected, 2e-5)


class Before(nn.Module):
    """Batch normalisation before its ReLU and its convolution, concatenation, pooling by maximum and by mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)
        self.conv, self.pool = nn.Conv2d(3, 2, 1), nn.MaxPool2d(2)
        self.linear = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = torch.cat([x, self.conv(self.norm(x).relu())], 1)
        scores: torch.Tensor = self.linear(functional.adaptive_avg_pool2d(self.pool(x), 1).flatten(1))
        return scores


@pytest.mark.parametrize("rule", ["epsilon", "z-plus", "gamma", "alpha-beta"])
@pytest.mark.parametrize("normalisation", ["merged", "handed-on"])
def test_normalisation_elsewhere_concatenation_and_maximum(rule: str, normalisation: str) -> None:
    network, made = with_statistics(seeded(Before(), 6)).double(), RULES.make(rule)
    x = signed(1, 2, 4, 4)
    assert isinstance(network, Before)
    found = lrp(network, x, f"table(convolution={rule}, dense={rule}, normalisation={normalisation})")
    a = network.stem(x).relu().detach()
    u = network.norm(a).relu().detach()
    joined = torch.cat([a, network.conv(u)], 1).detach()
    pooled = network.pool(joined)
    mean = pooled.mean((2, 3))
    r = torch.zeros(3, dtype=torch.float64)
    r[1] = network.linear(mean)[0, 1].detach()
    r = shared_by_hand(made, mean[0], (network.linear.weight.detach(), network.linear.bias.detach()), r)
    r_pooled = (pooled / pooled.sum((2, 3), keepdim=True)).nan_to_num()[0] * r[:, None, None]
    r_joined = torch.zeros_like(joined[0])
    for k in range(5):
        for i in range(2):
            for j in range(2):
                window = joined[0, k, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                best = int(window.argmax())
                r_joined[k, 2 * i + best // 2, 2 * j + best % 2] += r_pooled[k, i, j]
    conv = matrix_of(lambda given: network.conv(given).detach(), u.shape[1:])
    own = u.flatten()
    if normalisation == "merged":  # what the normalisation adds where the ReLU is open is the convolution's bias
        zero = network.norm(torch.zeros_like(a)).detach()
        added = (zero * (u > 0)).flatten()
        own, conv = own - added, (conv[0], conv[1] + conv[0] @ added)
    # A ReLU, and what is left of the normalisation, hand on what they get.
    r_a = r_joined[:3].flatten() + shared_by_hand(made, own, conv, r_joined[3:].flatten())
    stem = matrix_of(lambda given: network.stem(given).detach(), x.shape[1:])
    expected = shared_by_hand(made, x.flatten(), stem, r_a).view(x.shape[1:])
    assert close(found[0].double(), expected, 2e-5)


class Gated(nn.Module):
    """Squeeze and excitation: the picture's own means open and close its channels."""

    def __init__(self, constant: torch.Tensor | None = None) -> None:
        super().__init__()
        self.conv, self.squeeze, self.linear = nn.Conv2d(2, 3, 3), nn.Conv2d(3, 3, 1), nn.Linear(3, 3)
        self.constant = constant

    def gate(self, x: torch.Tensor) -> torch.Tensor:
        return self.squeeze(functional.adaptive_avg_pool2d(x, 1)).sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.silu(self.conv(x))
        x = x * (self.gate(x) if self.constant is None else self.constant)
        scores: torch.Tensor = self.linear(x.mean((2, 3)))
        return scores


def test_a_gate_is_a_constant() -> None:
    network, x = seeded(Gated(), 9).double(), signed(1, 2, 5, 5)
    assert isinstance(network, Gated)
    twin = Gated(network.gate(functional.silu(network.conv(x))).detach())
    twin.load_state_dict(network.state_dict())
    assert close(lrp(network, x, "epsilon-plus"), lrp(twin.eval(), x, "epsilon-plus"), TIGHT)


# ---- where it begins and where it ends -------------------------------------------------------------------------------


def test_one_class_against_another_begins_with_both() -> None:
    network, x = seeded(Small(), 9).double(), signed(1, 2, 4, 4)
    passes = Passes(classifier(network))
    one, other = (passes.relevance(x, Target.of(k), COMPOSITES.make("epsilon-plus")).values for k in (0, 2))
    both = passes.relevance(x, Target.of(0, against=2), COMPOSITES.make("epsilon-plus"))
    assert close(both.values, one - other, 1e-6)
    scores = network(x)[0].detach()
    assert both.begun.item() == pytest.approx(float(scores[0] - scores[2]), rel=1e-6)


def test_relevance_of_a_layer_is_that_of_the_network_behind_it() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.front = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU())
            self.back = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.back(self.front(x))
            return scores

    network, x = seeded(Two(), 2).double(), signed(2, 2, 4, 4)
    assert isinstance(network, Two)
    composite = COMPOSITES.make("table(first=flat, convolution=gamma, bias=ignored)")
    found = Passes(classifier(network)).relevance_at(x, "front.1", Target.of([1, 2]), composite)
    inside = network.front(x).detach()
    expected = Passes(classifier(network.back)).relevance(
        inside, Target.of([1, 2]), COMPOSITES.make("table(convolution=gamma, bias=ignored)")
    )
    # Flat is the first layer's: the layer behind the captured one is not first, though the question ends there.
    assert found.activations is not None
    assert close(found.activations, inside.float(), 1e-6)
    assert close(found.values, expected.values, 1e-6)
