"""Guided backpropagation, deconvnet and DeepLIFT against backward passes by hand, however a ReLU is written."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from sightline.attribution.result import Attribution
from sightline.errors import NotSupportedError
from sightline.models.graph import not_linear, on_the_way
from sightline.passes.passes import Passes
from sightline.runs.explain import explain
from small import close, gradient_of, picture, seeded

METHODS = ("guided-backpropagation", "deconvnet", "deep-lift")
RULES = ("guided-backpropagation", "deconvnet")


def result_of(network: nn.Module, x: torch.Tensor, method: str, target: int = 1) -> Attribution:
    found = explain(network, x, method, target=target)
    assert isinstance(found, Attribution)
    return found


def channels_of(network: nn.Module, x: torch.Tensor, method: str, target: int = 1) -> torch.Tensor:
    """`c h w`."""
    channels = result_of(network, x, method, target).channels
    assert channels is not None
    return torch.from_numpy(channels)


class Two(nn.Module):
    """Convolution, non-linearity, pooling, convolution, non-linearity, linear: the non-linearity as it is given."""

    def __init__(self, act: Callable[[torch.Tensor], torch.Tensor], pool: nn.Module | None = None) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 2)
        self.act, self.pool = act, pool or nn.AvgPool2d(2, 1)
        self.linear = nn.LazyLinear(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.two(self.pool(self.act(self.one(x)))))
        scores: torch.Tensor = self.linear(x.flatten(1))
        return scores


def two(act: Callable[[torch.Tensor], torch.Tensor], pool: nn.Module | None = None, seed: int = 3) -> nn.Module:
    network = Two(act, pool)
    network(picture(6, 7))
    return seeded(network, seed)


# ---- oracles: every layer by hand, linear layers as matrices ---------------------------------------------------------


def matrix_of(layer: Callable[[torch.Tensor], torch.Tensor], shape: torch.Size) -> torch.Tensor:
    """What a layer multiplies a picture of this shape (`c h w`) with, from the pictures that are 1 in one place."""
    zero = layer(torch.zeros(1, *shape, dtype=torch.float64)).flatten()
    units = torch.eye(shape.numel(), dtype=torch.float64).view(-1, *shape)
    return torch.stack([layer(unit[None]).flatten() - zero for unit in units], dim=1)


def windows_of(shape: torch.Size) -> list[list[int]]:
    """The places that each output of a 2 × 2 max-pooling with steps of 1 looks at."""
    index = torch.arange(shape.numel()).view(shape)
    rows, columns = shape[1] - 1, shape[2] - 1
    return [
        index[k, i : i + 2, j : j + 2].flatten().tolist()
        for k, i, j in itertools.product(range(shape[0]), range(rows), range(columns))
    ]


def by_hand(
    network: Two, x: torch.Tensor, method: str, target: int, reference: torch.Tensor | None = None
) -> torch.Tensor:
    """The map `c h w` in float64."""
    network, x = network.double(), x.double()
    reference = torch.zeros_like(x) if reference is None else reference.double()
    own, other = trace(network, x), trace(network, reference)
    signal = network.linear.weight[target].detach().clone()
    for (kind, u, v, matrix), (_, u0, v0, _) in zip(reversed(own), reversed(other), strict=True):
        if kind == "linear":
            signal = signal @ matrix
        elif kind == "relu":
            passed = torch.zeros_like(signal)
            for place in range(len(signal)):
                r, on = float(signal[place]), bool(u[place] > 0)
                if method == "deconvnet":
                    passed[place] = max(r, 0)
                elif method == "guided-backpropagation":
                    passed[place] = max(r, 0) if on else 0
                else:
                    apart = float(u[place] - u0[place])
                    passed[place] = r * float(v[place] - v0[place]) / apart if apart else r * on
            signal = passed
        else:
            signal = pooled_by_hand(signal, u, u0, windows_of(network.one(x).shape[1:]), method)
    return signal.view(x.shape[1:]) * (x - reference)[0] if method == "deep-lift" else signal.view(x.shape[1:])


def pooled_by_hand(
    signal: torch.Tensor, u: torch.Tensor, u0: torch.Tensor, windows: list[list[int]], method: str
) -> torch.Tensor:
    moved = torch.zeros_like(u)
    for r, places in zip(signal, windows, strict=True):
        best, best0 = (max(places, key=lambda place: float(values[place])) for values in (u, u0))
        if method != "deep-lift":
            moved[best] += r
            continue
        largest = max(u[best], u0[best0])
        moved[best] += r * (largest - u0[best0])
        moved[best0] += r * (u[best] - largest)
    apart = u - u0
    return moved if method != "deep-lift" else torch.where(apart == 0, 0, moved / torch.where(apart == 0, 1, apart))


@torch.no_grad()
def trace(network: Two, x: torch.Tensor) -> list[tuple[str, torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    """Kind, input, output (flat) and matrix of every step before the last linear layer."""
    steps: list[tuple[str, torch.Tensor, torch.Tensor, torch.Tensor | None]] = []
    maximum = isinstance(network.pool, nn.MaxPool2d)
    for kind, layer in (
        ("linear", network.one),
        ("relu", torch.relu),
        ("max" if maximum else "linear", network.pool),
        ("linear", network.two),
        ("relu", torch.relu),
    ):
        y = layer(x)
        steps.append((kind, x.flatten(), y.flatten(), matrix_of(layer, x.shape[1:]) if kind == "linear" else None))
        x = y
    return steps


@pytest.mark.parametrize("target", [0, 2])
@pytest.mark.parametrize("pool", [None, nn.MaxPool2d(2, 1)])
@pytest.mark.parametrize("method", METHODS)
def test_by_hand(method: str, pool: nn.Module | None, target: int) -> None:
    x = picture(6, 7)
    expected = by_hand(two(torch.relu, pool), x, method, target)
    assert close(channels_of(two(torch.relu, pool), x, method, target), expected, 1e-5)
    assert not close(expected.float(), gradient_of(two(torch.relu, pool), x, lambda s: s[:, target])[0], 1e-2)


def test_deep_lift_from_another_reference() -> None:
    from sightline.images.fills import FILLS
    from sightline.images.values import ValueRange

    x, pool = picture(6, 7), nn.MaxPool2d(2, 1)
    for baseline in ("grey", "blur(sigma=2)", "uniform(seed=3)"):
        start = FILLS.make(baseline).make(x, ValueRange.unit())
        expected = by_hand(two(torch.relu, pool), x, "deep-lift", 1, start)
        result = result_of(two(torch.relu, pool), x, f"deep-lift(baseline={baseline})")
        assert result.channels is not None
        assert close(torch.from_numpy(result.channels), expected, 1e-4)
        assert abs(result.numbers["completeness_error"]) < 1e-5
        network = two(torch.relu, pool)
        assert result.numbers["score_difference"] == pytest.approx(
            float((network(x) - network(start))[0, 1].detach()), abs=1e-6
        )


# ---- however a ReLU is written ---------------------------------------------------------------------------------------


def dropped(x: torch.Tensor) -> torch.Tensor:
    """Works in place, and what it returns is not used."""
    x.relu_()
    return x


def on_a_view(x: torch.Tensor) -> torch.Tensor:
    """Works in place on two halves of the channels."""
    x[:, :2].relu_()
    functional.relu_(x[:, 2:])
    return x


RELUS = {
    "shared module": nn.ReLU(),
    "shared module in place": nn.ReLU(inplace=True),
    "functional": functional.relu,
    "functional in place": lambda x: functional.relu(x, inplace=True),
    "tensor method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "function in place": torch.relu_,
    "dropped": dropped,
    "views": on_a_view,
    "clamp": lambda x: x.clamp(min=0),
    "clamp by place": lambda x: torch.clamp(x, 0),
    "clamp in place": lambda x: x.clamp_(0.0),
    "clip": lambda x: torch.clip(input=x, min=0),
    "clamp_min": lambda x: x.clamp_min(0),
    "clamp_min in place": lambda x: x.clamp_min_(0),
    "threshold": lambda x: functional.threshold(x, 0, 0),
    "threshold module": nn.Threshold(0, 0, inplace=True),
    "clipped far above": lambda x: functional.hardtanh(x, 0.0, 1e3),
    "aten": torch.ops.aten.relu,
}


@pytest.mark.parametrize("name", RELUS)
@pytest.mark.parametrize("method", METHODS)
def test_every_form_of_a_relu_is_the_same_relu(method: str, name: str) -> None:
    x = picture(6, 7, pictures=1)
    for pool in (None, nn.MaxPool2d(2, 1)):
        expected = by_hand(two(torch.relu, pool), x, method, 1)
        assert close(channels_of(two(RELUS[name], pool), x, method), expected, 1e-5)
        one, other = (channels_of(two(act, pool), x, method) for act in (nn.ReLU(), RELUS[name]))
        assert close(one, other, 1e-6)


@pytest.mark.parametrize("method", RULES)
def test_a_clipped_relu_passes_nothing_above_its_ceiling(method: str) -> None:
    network = two(nn.ReLU6(inplace=True))
    with torch.no_grad():
        network.one.weight.mul_(20)  # type: ignore[union-attr, operator]
    x = picture(6, 7)
    first = network.one(x)  # type: ignore[operator]
    assert (first > 6).any()
    second = network.two(network.pool(first.clamp(0, 6)))  # type: ignore[operator]
    signal = network.linear.weight[1].view(second.shape)  # type: ignore[union-attr, index, operator]
    guided = method == "guided-backpropagation"
    gate = ((second > 0) & (second < 6)) if guided else torch.ones_like(second, dtype=torch.bool)
    signal = functional.conv_transpose2d(signal.clamp(min=0) * gate, network.two.weight)  # type: ignore[union-attr, arg-type]
    leaf = torch.zeros_like(first, requires_grad=True)
    (signal,) = torch.autograd.grad(network.pool(leaf), leaf, signal)  # type: ignore[operator]
    gate = ((first > 0) & (first < 6)) if guided else torch.ones_like(first, dtype=torch.bool)
    expected = functional.conv_transpose2d(signal.clamp(min=0) * gate, network.one.weight, padding=1)  # type: ignore[union-attr, arg-type]
    assert close(channels_of(network, x, method), expected[0].detach(), 1e-5)


def test_hooks_on_modules_miss_a_functional_relu() -> None:
    """The broken twin: captum looks at modules, and gives the plain gradient where the ReLU is a function."""
    captum = pytest.importorskip("captum.attr")
    x = picture(6, 7)
    network = two(functional.relu)
    with pytest.warns(UserWarning, match="backward hooks"):
        missed = captum.GuidedBackprop(network).attribute(x.clone().requires_grad_(), target=1)[0]
    assert close(missed, gradient_of(network, x, lambda scores: scores[:, 1])[0], 1e-6)
    assert not close(missed, channels_of(network, x, "guided-backpropagation"), 0.1)


# ---- what the rules are not defined for ------------------------------------------------------------------------------


@torch.jit.script
def SCRIPTED(x: torch.Tensor) -> torch.Tensor:  # what TorchScript runs cannot be taken over
    return torch.relu(x)


class Gate(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(x)
        return x * x.mean((2, 3), keepdim=True)


OTHERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": nn.GELU(),
    "silu": functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "leaky-relu": nn.LeakyReLU(0.1),
    "hardtanh": nn.Hardtanh(),
    "hardswish": nn.Hardswish(),
    "elu": nn.ELU(inplace=True),
    "softplus": functional.softplus,
    "clamp-min": lambda x: x.clamp_min(-0.1),
    "threshold": lambda x: functional.threshold(x, 0.1, 0),
}
NEVER: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softmax": lambda x: functional.relu(x).softmax(1),
    "product of two parts": Gate(),
    "reciprocal|division by a part": lambda x: 1 / (1 + functional.relu(x)),
    "pow": lambda x: functional.relu(x) ** 2,
    "abs": lambda x: functional.relu(x).abs(),
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "comparison": lambda x: x * (x > 0),
    "comparison (lt)": lambda x: x.masked_fill(x < 0, 0),
    "comparison (gt)": lambda x: torch.where(x > 0, x, 0.0),
    "comparison (sign)": lambda x: functional.relu(x) * x.sign(),
    "relu": SCRIPTED,
}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("name", [*OTHERS, *NEVER])
def test_what_is_no_relu_is_refused_by_name(name: str, method: str) -> None:
    network = two({**OTHERS, **NEVER}[name])
    with pytest.raises(NotSupportedError, match=name.replace("(", r"\(").replace(")", r"\)")):
        explain(network, picture(6, 7), method, target=1)


@pytest.mark.parametrize("name", OTHERS)
def test_deep_lift_holds_for_every_function_of_one_number(name: str) -> None:
    x, act = picture(6, 7), OTHERS[name]
    result = result_of(two(act), x, "deep-lift")
    with torch.no_grad():
        network = two(act).double()
        own, other = (network.one(point.double()) for point in (x, torch.zeros_like(x)))  # type: ignore[operator]
        ways = [network.pool(act(point.clone())) for point in (own, other)]  # type: ignore[operator]
        deep, deeper = (network.two(way) for way in ways)  # type: ignore[operator]
        factor = (act(deep.clone()) - act(deeper.clone())) / (deep - deeper)
        signal = factor.flatten() * network.linear.weight[1]  # type: ignore[union-attr, index, operator]
        signal = signal @ matrix_of(network.two, ways[0].shape[1:])  # type: ignore[arg-type]
        signal = signal @ matrix_of(network.pool, own.shape[1:])  # type: ignore[arg-type]
        signal = signal * ((act(own.clone()) - act(other.clone())) / (own - other)).flatten()
        signal = signal @ matrix_of(network.one, x.shape[1:])  # type: ignore[arg-type]
    assert result.channels is not None
    assert close(torch.from_numpy(result.channels), signal.view(3, 6, 7) * x[0].double(), 1e-4)


@pytest.mark.parametrize("name", NEVER)
def test_deep_lift_refuses_what_is_no_function_of_one_number(name: str) -> None:
    with pytest.raises(NotSupportedError, match=name.replace("(", r"\(").replace(")", r"\)")):
        explain(two(NEVER[name]), picture(6, 7), "deep-lift", target=1)


class Turned(nn.Module):
    """Its batch is not where one looks for it: pairs are not found in halves of the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.tanh(self.one(x).permute(2, 3, 1, 0)).permute(3, 2, 0, 1)
        scores: torch.Tensor = self.linear(x.mean((2, 3)))
        return scores


def test_deep_lift_refuses_a_network_on_which_it_does_not_add_up() -> None:
    with pytest.raises(NotSupportedError, match="does not add up"):
        explain(seeded(Turned()), 4 * picture(8, 8), "deep-lift", target=1)


@pytest.mark.parametrize("method", RULES)
def test_a_network_without_a_relu_is_refused(method: str) -> None:
    linear = seeded(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 4 * 5, 3)))
    with pytest.raises(NotSupportedError, match="has none"):
        explain(linear, picture(6, 7), method, target=1)
    result = result_of(linear, picture(6, 7), "deep-lift")
    expected = picture(6, 7) * gradient_of(linear, picture(6, 7), lambda scores: scores[:, 1])
    assert result.channels is not None
    assert close(torch.from_numpy(result.channels), expected[0], 1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_branch_beside_the_score_may_be_anything(method: str) -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main = two(functional.relu)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.main(x), functional.gelu(x)

    x = picture(6, 7)
    assert close(channels_of(Aside().eval(), x, method), channels_of(two(nn.ReLU()), x, method), 1e-6)


def test_the_record_of_a_pass_is_read_between_leaf_and_score() -> None:
    leaf, other = torch.rand(3, requires_grad=True), torch.rand(3, requires_grad=True)
    both = (leaf * other).sum() + other.exp().sum()
    assert not not_linear(on_the_way(both, leaf), ())
    assert dict(not_linear(on_the_way(both, other), ())) == {"exp": 1}
    assert dict(not_linear(on_the_way((leaf * leaf).sum(), leaf), ())) == {"a product of two parts of the network": 1}


# ---- laws ------------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), maximum=st.booleans(), baseline=st.sampled_from(["black", "white", "blur(sigma=1)"]))
def test_deep_lift_is_complete(seed: int, maximum: bool, baseline: str) -> None:
    network, x = two(nn.ReLU(), nn.MaxPool2d(2, 1) if maximum else None, seed), picture(6, 7, seed=seed)
    result = result_of(network, x, f"deep-lift(baseline={baseline})")
    missing = float(result.map.sum()) - result.numbers["score_difference"]
    assert abs(missing) <= 1e-4 * max(abs(result.map).sum(), abs(result.numbers["score_difference"]))
    assert missing == pytest.approx(result.numbers["completeness_error"], abs=1e-5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999))
def test_deep_lift_is_input_times_gradient_without_biases(seed: int) -> None:
    network, x = two(functional.relu, None, seed), picture(6, 7, seed=seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    expected = x * gradient_of(network, x, lambda scores: scores[:, 1])
    assert close(channels_of(network, x, "deep-lift"), expected[0], 1e-4)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999))
def test_rules_are_the_gradient_where_everything_is_positive(seed: int) -> None:
    network, x = two(functional.relu, None, seed), picture(6, 7, seed=seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    expected = gradient_of(network, x, lambda scores: scores[:, 1])[0]
    for method in RULES:
        assert close(channels_of(network, x, method), expected, 1e-5)


def test_multipliers_of_many_pictures_are_those_of_each() -> None:
    x, network = picture(6, 7, pictures=5), two(nn.ReLU(inplace=True), nn.MaxPool2d(2, 1))
    from sightline.models.targets import Target

    target = Target(torch.tensor([0, 1, 2, 1, 0]))
    for memory in (None, 1):
        passes = Passes(network, memory=memory)
        passes.scores(x[:1])
        before = passes.count
        factors, differences = passes.multipliers(x, x.flip(0) * 0.5, target)
        spent = passes.count - before
        assert (spent.forward, spent.backward) == (10, 10)
        for place in range(5):
            alone, difference = Passes(network).multipliers(
                x[place : place + 1], x.flip(0)[place : place + 1] * 0.5, target.rows(slice(place, place + 1))
            )
            assert close(factors[place], alone[0], 1e-5)
            assert float(differences[place]) == pytest.approx(float(difference), abs=1e-6)
