"""What holds of relevance propagation on every network: nothing is lost, and what it is equal to in special cases."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from sightline.attribution.relevance.lrp import Lrp
from sightline.attribution.table import METHODS
from sightline.models.classifier import wrap
from sightline.models.relevance import affine
from sightline.models.relevance.affine import Affine, stable
from sightline.models.relevance.layer_rules import RULES, AlphaBeta, Gamma, ZPlus
from sightline.passes.passes import Passes
from small import close, seeded

SEEDS = st.integers(0, 10_000)
CONSERVING = ("epsilon", "gamma", "alpha-beta", "z-plus", "w-square", "flat")
LEAST = "epsilon(epsilon=1e-12)"


class Net(nn.Module):
    """Convolutions, a skip connection, a mean and two dense layers; with `pool` a maximum on the way."""

    def __init__(self, bias: bool = False, pool: bool = False) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1, bias=bias), nn.Conv2d(4, 4, 3, padding=1, bias=bias)
        self.three, self.four = nn.Linear(16, 6, bias=bias), nn.Linear(6, 3, bias=bias)
        self.pool: nn.Module = nn.MaxPool2d(2) if pool else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.one(x).relu())
        x = (self.two(x) + x).relu()
        scores: torch.Tensor = self.four(self.three(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)).relu())
        return scores


def net(seed: int, **how: bool) -> nn.Module:
    return seeded(Net(**how), seed).double()


def pixels(seed: int, pictures: int = 1) -> torch.Tensor:
    return torch.randn(pictures, 3, 6, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lrp(network: nn.Module, x: torch.Tensor, composite: str, target: int = 1) -> torch.Tensor:
    return Lrp(composite=composite)(Passes(wrap(network, head="softmax")), x, target).values.double()  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, convolution=st.sampled_from((LEAST, "gamma")), pool=st.booleans())
def test_relevance_is_conserved_without_biases(seed: int, convolution: str, pool: bool) -> None:
    network, x = net(seed, pool=pool), pixels(seed, 2)
    method = METHODS.make(f"lrp(composite=table(convolution={convolution}, dense={LEAST}))")
    maps = method(Passes(wrap(network, head="softmax")), x, 1)
    size = float(maps.values.abs().sum())
    assert (maps.numbers["conservation_error"].abs() <= 1e-5 * max(size, 1e-6)).all()
    assert torch.allclose(maps.numbers["score"].double(), network(x)[:, 1], rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_biases_absorb_relevance_and_ignored_ones_do_not(seed: int) -> None:
    """With a bias in every layer, epsilon loses what the biases add; where they are not counted, nothing is lost."""
    network, x = net(seed, bias=True), pixels(seed)
    with torch.no_grad():
        for layer in (network.one, network.two, network.three):
            layer.bias += 10  # what a unit without any input gives is its bias alone, and has nobody to go to
    score = float(network(x)[0, 1].detach())
    kept = lrp(network, x, "epsilon(epsilon=1e-12, bias=ignored)")
    assert float(kept.sum()) == pytest.approx(score, rel=0, abs=1e-6 * float(kept.abs().sum()))
    assert abs(float(lrp(network, x, "epsilon").sum()) - score) > 1e-6


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_epsilon_without_biases_is_input_times_gradient_and_deep_lift(seed: int) -> None:
    network, x = net(seed), pixels(seed)
    passes = Passes(wrap(network, head="softmax"))
    found = lrp(network, x, LEAST)
    # Black is 0 here, and so is the score of black.
    assert close(found, METHODS.make("deep-lift(baseline=black)")(passes, x, 1).values.double(), 1e-6)
    assert close(found, METHODS.make("input-times-gradient")(passes, x, 1).values.double(), 1e-6)


class Before(nn.Module):
    """Normalisations that stand before: at the pixels, before ReLUs (one in place) and convolutions with borders,
    before a convolution alone, before pooling by mean, and before values that are flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(size) for size in (3, 4, 8, 4, 4)])
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, stride=2)
        self.three, self.four = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.mean, self.flat = nn.Linear(4, 3), nn.Linear(48, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, third, fourth, fifth = self.norms
        x = self.one(first(x))
        x = torch.cat([x, self.four(second(x).relu())], 1)
        x = self.three(nn.functional.relu_(third(x)))
        x = nn.functional.max_pool2d(x, 1) + self.four(fourth(x[:, :, :, :]))
        pooled = nn.functional.adaptive_avg_pool2d(fifth(x).relu(), 1).flatten(1)
        scores: torch.Tensor = self.mean(pooled) + self.flat(self.two(fifth(x.clone()).relu()).flatten(1))
        return scores


def before(seed: int) -> nn.Module:
    network = seeded(Before(), seed)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            size = module.num_features
            module.running_mean = torch.randn(size, generator=generator)
            module.running_var = torch.rand(size, generator=generator) + 0.5
            module.weight.data = torch.randn(size, generator=generator)
            module.bias.data = torch.randn(size, generator=generator)
    return network.eval().double()


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_normalisation_ahead_is_a_part_of_the_layers_behind_it(seed: int) -> None:
    """Then epsilon is input × gradient on networks of ReLUs, as it is where none is normalised."""
    network, x = before(seed), pixels(seed, 2)
    expected = METHODS.make("input-times-gradient")(Passes(wrap(network, head="softmax")), x, 1).values.double()
    found = lrp(network, x, LEAST)
    assert close(found, expected, 1e-6)
    assert close(lrp(network, x[1:], LEAST), found[1:], 1e-6)


def test_the_laws_of_small_epsilon_need_a_stabiliser_of_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: with that of float32 sums and means add a millionth to what they divide by, whatever epsilon."""
    seeds = range(20)
    cases = [(before(seed), pixels(seed)) for seed in seeds] + [(net(seed), pixels(seed)) for seed in seeds]
    expected = [
        METHODS.make("input-times-gradient")(Passes(wrap(network, head="softmax")), x, 1).values.double()
        for network, x in cases
    ]

    def kept() -> list[bool]:
        found = (lrp(network, x, LEAST) for network, x in cases)
        return [close(one, other, 1e-6) for one, other in zip(found, expected, strict=True)]

    assert all(kept())
    monkeypatch.setattr(affine, "_GUARD", {})
    assert not all(kept())


def test_normalisation_ahead_that_is_handed_on_is_not_input_times_gradient() -> None:
    """The broken twin of the law, which zennit's composites follow; and what a shift adds is what is lost by it."""
    network, x = before(5), pixels(5)
    expected = METHODS.make("input-times-gradient")(Passes(wrap(network, head="softmax")), x, 1).values.double()
    assert not close(lrp(network, x, "epsilon(epsilon=1e-12, normalisation=handed-on)"), expected, 1e-1)
    kept = lrp(network, x, "epsilon(epsilon=1e-12, bias=ignored)")
    assert float(kept.sum()) == pytest.approx(float(network(x)[0, 1].detach()), rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, rule=st.sampled_from(CONSERVING))
def test_every_rule_shares_out_all_that_a_layer_without_bias_was_given(seed: int, rule: str) -> None:
    layer, x, relevance = one_layer(seed)
    parts = x * layer.weight
    assume(bool((parts.sum(1).abs() > 1e-2).all()))  # a sum next to 0 is held away from it, which takes a part
    # What has contributions of one sign only shares out α times what it was given: so the rule is defined.
    assume(rule != "alpha-beta" or bool((parts > 0).any(1).all() and (parts < 0).any(1).all()))
    assume(rule != "z-plus" or bool((parts > 0).any(1).all()))  # what only speaks against has nobody to go to
    back = RULES.make(rule).back(layer, x, relevance, None)
    assert float(back.sum()) == pytest.approx(float(relevance.sum()), abs=1e-4 * float(relevance.abs().sum() + 1))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_rules_are_each_other_at_their_ends(seed: int) -> None:
    layer, x, relevance = one_layer(seed)

    def back(rule: object) -> torch.Tensor:
        return rule.back(layer, x, relevance, None)  # type: ignore[attr-defined]

    assert close(back(AlphaBeta(alpha=1, beta=0)), back(ZPlus()), 1e-9)
    assert close(back(Gamma(gamma=0)), back(RULES.make("epsilon")), 1e-3)
    minus = back(AlphaBeta(alpha=0, beta=-1))
    assert close(back(AlphaBeta(alpha=2, beta=1)), 2 * back(ZPlus()) - minus, 1e-9)
    # Of z's own sign alone: for outputs above zero what z-plus gives.
    above = relevance * (layer.output((x, layer.weight, None)) > 0)
    strong = Gamma(gamma=1e6).back(layer, x, above, None)
    assert close(strong, ZPlus().back(layer, x, above, None), 1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, factor=st.floats(1e-6, 1e6))
def test_positive_rules_give_no_negative_relevance(seed: int, factor: float) -> None:
    layer, x, relevance = one_layer(seed)
    box = (torch.full_like(x[0], float(x.min())), torch.full_like(x[0], float(x.max())))
    for rule in ("z-plus", "z-box", "w-square", "flat"):
        back = RULES.make(rule).back(layer, x, relevance.abs() * factor, box)
        assert (back >= 0).all()
        assert back.sum() > 0


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, factor=st.floats(1e-18, 1e18))
def test_the_stabiliser_is_in_the_measure_of_what_it_stabilises(seed: int, factor: float) -> None:
    z = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed))
    z[0, 0, 0] = 0
    assert close(stable(z * factor) / factor, stable(z), 1e-5)
    assert (stable(z) != 0).all()
    assert stable(torch.zeros(2, 3)).min() > 0
    assert torch.equal(stable(z)[1:], stable(z[1:]))


def test_the_stabiliser_is_in_the_measure_of_the_precision() -> None:
    z = torch.tensor([[3.0, -4.0, 0.0, 0.0]], dtype=torch.float64)  # of root mean square 2.5
    signs = torch.tensor([[1.0, -1.0, 1.0, 1.0]], dtype=torch.float64)
    assert close((stable(z) - z) / 2.5e-12, signs, 1e-3)
    assert torch.equal(stable(z.float()), stable(z.float(), 1e-6))
    assert close(stable(z, 1e-6) - z, 2.5e-6 * signs, 1e-6)


def one_layer(seed: int) -> tuple[Affine, torch.Tensor, torch.Tensor]:
    """A layer without bias, inputs of both signs, and relevance of both signs at its outputs."""
    generator = torch.Generator().manual_seed(seed)
    weight, x, relevance = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((5, 8), (1, 8), (1, 5))
    )
    return Affine("dense", nn.functional.linear, weight, None), x, relevance
