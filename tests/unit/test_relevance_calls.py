"""Relevance propagation takes calls over however they are written, and refuses by name what it is not defined for."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.attribution.relevance.lrp import Lrp
from sightline.errors import LayerError, NonFiniteError, NotSupportedError, SpecError
from sightline.models.classifier import wrap
from sightline.models.relevance.composites import COMPOSITES, Table
from sightline.models.relevance.layer_rules import RULES, AlphaBeta, Gamma, ZPlus
from sightline.models.relevance.propagation import propagating
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.passes.relevance import one_hot
from small import close, flat, picture, seeded


class Written(nn.Module):
    """Two convolutions, and what is done with them as it is given."""

    def __init__(self, body: Callable[[Written, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.linear = nn.ReLU(), nn.Linear(4, 3)
        self.norm, self.body = nn.BatchNorm2d(4), body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self, x)


def made(body: Callable[[Written, torch.Tensor], torch.Tensor]) -> nn.Module:
    return seeded(Written(body), 5).double()


def lrp(
    network: nn.Module, composite: str = "epsilon-plus", x: torch.Tensor | None = None, target: int = 1
) -> torch.Tensor:
    x = picture(5, 6, 2).double() - 0.4 if x is None else x
    return Lrp(composite=composite)(Passes(wrap(network, head="softmax")), x, target).values  # type: ignore[arg-type]


def plain(n: Written, x: torch.Tensor) -> torch.Tensor:
    a = n.relu(n.one(x))
    return n.linear(n.relu(n.two(a) + a).mean((2, 3)))


def in_place(n: Written, x: torch.Tensor) -> torch.Tensor:
    a = functional.relu(n.one(x), True)
    b = n.two(a)
    b += a
    return n.linear(b.relu_().mean(dim=(2, 3)))


def functions(n: Written, x: torch.Tensor) -> torch.Tensor:
    a = torch.relu(functional.conv2d(input=x, weight=n.one.weight, bias=n.one.bias, padding=1))
    b = torch.add(torch.conv2d(a, n.two.weight, n.two.bias, 1, 1), a).clamp(min=0)
    return functional.adaptive_avg_pool2d(b, 1).flatten(1) @ n.linear.weight.T + n.linear.bias


def other_words(n: Written, x: torch.Tensor) -> torch.Tensor:
    a = functional.threshold(n.one(x), 0.0, 0.0)
    b = functional.hardtanh(a.__add__(n.two(a)), 0.0, 1e9)
    return torch.addmm(n.linear.bias, functional.avg_pool2d(b, b.shape[-2:])[..., 0, 0], n.linear.weight.T)


def in_views(n: Written, x: torch.Tensor) -> torch.Tensor:
    a = n.relu(n.one(x))
    b = n.relu(torch.stack([n.two(a), a]).sum(0))
    b = torch.cat([b[:, :2], b[:, 2:]], 1).permute(0, 2, 3, 1).contiguous()
    return n.linear(b.flatten(1, 2).mean(1))


@pytest.mark.parametrize("composite", ["epsilon-plus", "epsilon-gamma-box", "epsilon", "epsilon-alpha2-beta1-flat"])
@pytest.mark.parametrize("body", [in_place, functions, other_words, in_views])
def test_it_makes_no_difference_how_a_network_is_written(
    body: Callable[[Written, torch.Tensor], torch.Tensor], composite: str
) -> None:
    if body is functions:  # adding its bias by itself leaves the bias out of the count
        network = made(body)
        expected = made(plain)
        for some in (network, expected):
            some.linear.bias.data.zero_()  # type: ignore[union-attr]
        assert close(lrp(network, composite), lrp(expected, composite), 1e-6)
        return
    assert close(lrp(made(body), composite), lrp(made(plain), composite), 1e-6)


def test_a_normalisation_right_after_a_layer_becomes_part_of_it() -> None:
    def normalised(n: Written, x: torch.Tensor) -> torch.Tensor:
        return n.linear(n.relu(n.norm(n.one(x))).mean((2, 3)))

    network = made(normalised)
    assert isinstance(network, Written)
    network.norm.running_mean = torch.tensor([0.1, -0.3, 0.5, 0.0]).double()
    twin = made(lambda n, x: n.linear(n.relu(n.one(x)).mean((2, 3))))
    assert isinstance(twin, Written)
    merged = torch.nn.utils.fusion.fuse_conv_bn_eval(network.one, network.norm)
    twin.one.load_state_dict(merged.state_dict())
    for composite in ("epsilon-plus", "epsilon-gamma-box", "epsilon"):
        assert close(lrp(network, composite), lrp(twin, composite), 1e-6)
    apart = made(lambda n, x: n.linear(n.relu(n.norm(n.one(x) + 0)).mean((2, 3))))
    assert isinstance(apart, Written)
    apart.norm.running_mean = network.norm.running_mean
    assert not close(lrp(apart, "epsilon-plus"), lrp(twin, "epsilon-plus"), 1e-3)  # a broken twin: not merged


@pytest.mark.parametrize(
    ("word", "body"),
    [
        ("layer-norm", lambda n, x: n.linear(functional.layer_norm(n.one(x).mean((2, 3)), (4,)))),
        ("softmax", lambda n, x: plain(n, x).softmax(1)),
        ("sigmoid", lambda n, x: plain(n, x).sigmoid()),
        ("sigmoid", lambda n, x: n.linear(n.one(x).sigmoid().mean((2, 3)))),
        ("softplus", lambda n, x: n.linear(functional.softplus(n.one(x)).mean((2, 3)))),
        ("mul", lambda n, x: n.linear((n.one(x) * n.one(x).relu()).mean((2, 3)))),
        ("mul", lambda n, x: n.linear((n.one(x).sigmoid() * n.one(x).sigmoid()).mean((2, 3)))),
        ("pow", lambda n, x: n.linear((n.one(x) ** 2).mean((2, 3)))),
        ("exp", lambda n, x: n.linear(n.one(x).exp().mean((2, 3)))),
        ("div", lambda n, x: n.linear((n.one(x) / n.one(x).amax((1, 2, 3), keepdim=True)).mean((2, 3)))),
        ("reciprocal", lambda n, x: n.linear((1 / n.one(x)).mean((2, 3)))),
        ("group-norm", lambda n, x: n.linear(functional.group_norm(n.one(x), 2).mean((2, 3)))),
        ("batch-norm", lambda n, x: n.linear(functional.batch_norm(n.one(x), None, None, training=True).mean((2, 3)))),
        ("where", lambda n, x: n.linear(torch.where(n.one(x) > 0, n.one(x), 0.0).mean((2, 3)))),
        ("cumsum", lambda n, x: n.linear(n.one(x).cumsum(2).mean((2, 3)))),
        ("bmm", lambda n, x: n.linear(torch.bmm(n.one(x)[:, 0], n.one(x)[:, 1].mT).mean(2)[:, :4])),
        ("addmm", lambda n, x: torch.addmm(n.linear.bias, n.one(x).mean((2, 3)), n.linear.weight.T, alpha=2)),
        ("clamp", lambda n, x: n.linear(n.one(x).clamp(0.1, 2).mean((2, 3)))),
    ],
)
def test_what_it_is_not_defined_for_is_refused_by_name(
    word: str, body: Callable[[Written, torch.Tensor], torch.Tensor]
) -> None:
    with pytest.raises(NotSupportedError, match=f"not defined for.*{word}"):
        lrp(made(body))


def test_compiled_parts_are_refused_by_name() -> None:
    network = made(lambda n, x: n.linear(n.relu(n.one(x)).mean((2, 3))))
    assert isinstance(network, Written)
    network.one = torch.jit.trace(network.one, picture(5, 6).double())  # type: ignore[assignment]
    with pytest.raises(NotSupportedError, match="convolution"):
        lrp(network)


def test_an_input_that_is_overwritten_later_is_refused() -> None:
    def careless(n: Written, x: torch.Tensor) -> torch.Tensor:
        a = n.one(x)
        b = n.two(a)
        a.relu_()
        return n.linear((a + b).mean((2, 3)))

    with pytest.raises(NotSupportedError, match="overwritten"):
        lrp(made(careless))


def test_an_input_that_is_overwritten_before_a_normalisation_is_refused() -> None:
    def careless(n: Written, x: torch.Tensor) -> torch.Tensor:
        a = n.one(x)
        b = n.two(a)
        a.relu_()
        return n.linear((n.norm(b) + a).mean((2, 3)))

    with pytest.raises(NotSupportedError, match="overwritten"):
        lrp(made(careless))


def test_a_function_with_gradients_and_parameters_that_ask_for_their_own() -> None:
    network, x = made(in_place).float(), picture(5, 6)
    function = wrap(network.forward, gradients=True, head="softmax")
    found = Lrp()(Passes(function), x, 1).values
    assert close(found, lrp(network, "epsilon-plus-flat", x), 1e-6)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_z_box_needs_the_pixels() -> None:
    with pytest.raises(NotSupportedError, match="z-box"):
        lrp(made(plain), "table(convolution=z-box)")
    with pytest.raises(NotSupportedError, match="z-box"):
        lrp(made(lambda n, x: plain(n, x.flip(3))), "epsilon-gamma-box")


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_hands_relevance_to_what_it_copied(mode: str) -> None:
    network = made(lambda n, x: n.linear(n.relu(n.one(functional.pad(x, (2, 1, 1, 2), mode))).mean((2, 3))))
    for parameter in (network.one.bias, network.linear.bias):  # type: ignore[union-attr]
        parameter.data.zero_()
    x = picture(5, 6).double()
    for composite in ("epsilon", "epsilon-gamma-box"):
        assert float(lrp(network, composite, x).sum()) == pytest.approx(network(x)[0, 1].item(), rel=1e-4)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(network(leaf)[0, 1], leaf)
    assert close(lrp(network, "epsilon", x).double(), slope * x, 1e-4)


@pytest.mark.parametrize("inplace", [False, True])
def test_z_box_goes_through_a_networks_own_normalisation(inplace: bool) -> None:
    """Normalised and padded inside, or beforehand with its range: the same map."""
    mean, spread = torch.tensor([0.2, 0.5, 0.7]).view(3, 1, 1).double(), -0.3

    def normalised(n: Written, x: torch.Tensor) -> torch.Tensor:
        x = x.clone().sub_(mean).div_(spread) if inplace else (x - mean).clone() / spread
        return plain(n, functional.pad(x, (1, 0, 2, 1)).contiguous())

    x = picture(5, 6, 2).double()
    inside = lrp(made(normalised), "epsilon-gamma-box", x)
    ends = [functional.pad(((end - mean) / spread).expand(3, 5, 6), (1, 0, 2, 1)) for end in (1.0, 0.0)]
    given = functional.pad((x - mean) / spread, (1, 0, 2, 1)).requires_grad_()
    network = made(plain)
    with propagating(COMPOSITES.make("epsilon-gamma-box"), (ends[0], ends[1])) as check:
        scores = network(given)
    check(scores, given, "plain")
    begun = torch.zeros_like(scores)
    begun[:, 1] = scores[:, 1].detach()
    (expected,) = torch.autograd.grad(scores, given, begun)
    assert close(inside, expected[..., 2:-1, 1:], 1e-6)
    assert inside.abs().max() > 1e-3


def test_z_box_refuses_pixels_that_are_not_in_their_range() -> None:
    x = (picture(5, 6).double() - 0.45) / 0.22
    with pytest.raises(NotSupportedError, match="do not lie in the range from 0 to 1"):
        lrp(made(plain), "epsilon-gamma-box", x)
    noisy = picture(5, 6).double() + 0.2 * torch.randn(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    assert lrp(made(plain), "epsilon-gamma-box", noisy).abs().sum() > 0


def test_first_and_last_are_told_by_the_graph() -> None:
    """Two stems are both first, and the branch that ends beside the head is last, whatever runs when."""

    def branches(n: Written, x: torch.Tensor) -> torch.Tensor:
        late = n.two(n.relu(n.one(x)))
        return n.linear((n.one(x.flip(3)) + late).relu().mean((2, 3)))

    seen: list[tuple[bool, bool]] = []

    class Spy(Table):
        name = "spy"

        def rule(self, kind, *, first, last):  # type: ignore[no-untyped-def]
            seen.append((first, last))
            return super().rule(kind, first=first, last=last)

    Passes(wrap(made(branches), head="softmax")).relevance(picture(5, 6).double(), Target.of(1), Spy())
    assert sorted(seen) == [(False, False), (False, True), (True, False), (True, False)]


def test_starts() -> None:
    passes, x = Passes(wrap(made(plain), head="softmax")), picture(5, 6, 2).double()
    composite = COMPOSITES.make("epsilon-plus")
    score = made(plain)(x)[:, 1].detach()
    full = passes.relevance(x, Target.of(1, 2), composite)
    unit = passes.relevance(x, Target.of(1, 2), composite, one_hot)
    assert torch.allclose(unit.begun, torch.ones(2))
    assert close(unit.values * score[:, None, None, None].float(), full.values, 1e-6)


def test_a_layer_without_a_grid_is_refused() -> None:
    passes = Passes(wrap(made(plain), head="softmax"))
    with pytest.raises(LayerError):
        passes.relevance_at(picture(5, 6).double(), "linear", Target.of(1), COMPOSITES.make("epsilon"))


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.ConvTranspose2d, nn.Conv3d])
def test_other_convolutions(kind: type[nn.Module]) -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.linear = kind(3, 4, 3, bias=False), nn.Linear(4, 3, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = (
                x.flatten(2)
                if kind is nn.Conv1d
                else x[:, :, None].expand(-1, -1, 3, -1, -1)
                if kind is nn.Conv3d
                else x
            )
            scores: torch.Tensor = self.linear(self.conv(x).relu().flatten(2).mean(2))
            return scores

    network, x = seeded(Other(), 2).double(), picture(5, 6).double()
    for composite in ("epsilon-plus", "table(convolution=gamma)"):
        assert float(lrp(network, composite, x).sum()) == pytest.approx(network(x)[0, 1].item(), rel=1e-4)


def test_texts() -> None:
    method = Lrp(composite="table(first=z-box, convolution=gamma(gamma=0.1), bias=ignored)")  # type: ignore[arg-type]
    assert method.composite == Table(first=RULES.make("z-box"), convolution=Gamma(gamma=0.1), bias="ignored")
    assert str(method) == "lrp(composite=table(bias=ignored, first=z-box, convolution=gamma(gamma=0.1)))"
    assert [str(RULES.make(name)) for name in RULES] == list(RULES)
    assert [str(COMPOSITES.make(name)) for name in COMPOSITES] == list(COMPOSITES)
    with pytest.raises(SpecError, match="alpha − beta must be 1"):
        AlphaBeta(alpha=2, beta=2)


def test_nothing_is_left_alive() -> None:
    network = made(in_place)
    lrp(network)
    gc.collect()
    before = sum(isinstance(each, torch.Tensor) for each in gc.get_objects())
    gc.disable()
    try:
        for _ in range(5):
            lrp(network)
        # No cycles: what a pass made is gone with it, without the collector.
        assert sum(isinstance(each, torch.Tensor) for each in gc.get_objects()) <= before + 2
    finally:
        gc.enable()


def test_a_composite_brings_operations_of_its_own() -> None:
    from sightline.models.relevance.calls import Call, handed_on

    def squared(call: Call) -> torch.Tensor:
        return handed_on(call.args[0], lambda own: own**2)

    class Squares(Table):
        name = "squares"
        operations = {"pow": squared}  # noqa: RUF012

    network = made(lambda n, x: n.linear((n.one(x) ** 2).mean((2, 3))))
    passes, x = Passes(wrap(network, head="softmax")), picture(5, 6).double()
    found = passes.relevance(x, Target.of(1), Squares(convolution=ZPlus()))
    assert found.values.abs().sum() > 0
    assert torch.allclose(found.begun.double(), network(x)[:, 1])


@pytest.mark.parametrize("composite", ["epsilon-plus", "epsilon-gamma-box"])
def test_fast_passes_and_narrow_networks_are_roughly_the_same(composite: str) -> None:
    network, x = made(plain).float(), picture(5, 6, 2) - 0.4
    expected = lrp(network, composite, x)
    fast = Lrp(composite=composite)(Passes(wrap(network, head="softmax"), precision="fast"), x, 1).values  # type: ignore[arg-type]
    assert fast.dtype == torch.float32
    assert close(fast, expected, 0.1)
    assert not torch.equal(fast, expected)
    assert close(lrp(network.bfloat16(), composite, x), expected, 0.1)


def test_maps_that_cancel_say_so_and_those_without_bound_are_refused() -> None:
    network, x = flat(5, 6), picture(5, 6, 2)
    network[1].bias.data.zero_()  # type: ignore[index, union-attr]
    weight = network[1].weight[1].detach()  # type: ignore[index]
    along = (x.flatten(1) @ weight / weight.square().sum())[:, None] * weight
    nearly = x - 0.9999 * along.view_as(x)  # to whose score the pixels add as much as they take from it
    maps = Lrp(composite="epsilon")(Passes(wrap(network, head="softmax")), nearly, 1)  # type: ignore[arg-type]
    assert [len(each) for each in maps.cautions] == [1, 1]
    assert "cancels" in maps.cautions[0][0]
    calm = Lrp()(Passes(wrap(made(plain).float(), head="softmax")), x, 1)
    assert calm.cautions == ((), ())

    def endless(scores: torch.Tensor, target: Target) -> torch.Tensor:
        return torch.full_like(scores, torch.inf)

    with pytest.raises(NonFiniteError, match="without bound"):
        Passes(wrap(network, head="softmax")).relevance(x, Target.of(1, 2), COMPOSITES.make("epsilon"), endless)
