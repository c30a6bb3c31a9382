"""Windows run in part: every score is the one of a whole pass, whatever the network is built of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sightline.attribution.perturbation.occlusion import Occlusion
from sightline.images.regions import sliding_windows
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Windows
from sightline.passes.windows import convolution, engine, program, walk
from sightline.passes.windows.program import Program
from sightline.passes.windows.reach import Slide, Span
from sightline.passes.windows.tracing import UntraceableError
from sightline.passes.windows.walk import Walk
from small import picture, seeded


def normed(channels: int, **kwargs: Any) -> nn.BatchNorm2d:
    """A batch normalisation that does something."""
    norm = nn.BatchNorm2d(channels, **kwargs)
    generator = torch.Generator().manual_seed(channels)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_(generator=generator)
    norm.running_var.uniform_(0.5, 2, generator=generator)
    return norm


class Wired(nn.Module):
    """Named modules and the way through them."""

    def __init__(self, way: Callable[[Any, torch.Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        self.way = way
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: torch.Tensor) -> Any:
        return self.way(self, x)


def conv(before: int, after: int, size: int | tuple[int, int] = 3, **kwargs: Any) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, **{"padding": 1, **kwargs})


def topped(*body: nn.Module, channels: int = 6) -> nn.Module:
    """A body with a mean and a linear head."""
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))


def residual(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = m.relu(m.norm(m.stem(x)))
    out = m.relu(m.norm1(m.conv1(x)))
    out = m.norm2(m.conv2(out))
    out += m.down(x)
    out = m.relu(out)
    out = m.relu(m.conv3(out) + out)
    return m.head(out.mean((2, 3)))


def inception(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(m.stem(x), inplace=True)
    parts = [m.one(x), m.three(x), m.five(x), m.pooled(F.max_pool2d(x, 3, stride=1, padding=1))]
    x = torch.cat(parts, 1)
    return m.head(torch.flatten(F.adaptive_avg_pool2d(F.relu(x), (1, 1)), 1))


def squeezed(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = m.stem(x).relu()
    x = x * torch.sigmoid(m.gate(F.adaptive_avg_pool2d(x, 1)))
    return m.head(m.last(x).mean(dim=[-1, -2]))


def dense(m: Any, x: torch.Tensor) -> torch.Tensor:
    maps = [m.stem(x)]
    for conv in (m.one, m.two):
        maps.append(conv(F.relu(torch.cat(maps, 1))))
    x = F.avg_pool2d(torch.cat(maps, dim=1), 2)
    return m.head(x.flatten(2).mean(-1))


def scaled(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = (x.to(m.stem.weight.dtype) - torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1).to(x)) / 0.3
    x = F.conv2d(x, m.stem.weight, m.stem.bias, 2, 1)
    x = F.batch_norm(x, m.norm.running_mean, m.norm.running_var, m.norm.weight, m.norm.bias, False)
    x = F.dropout(F.hardswish(x), 0.5, m.training)
    return m.head(x.view(x.size(0), x.shape[1], -1).sum(2))


def before_activation(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = m.stem(x)
    for conv in (m.one, m.two):
        y = conv(F.relu(x, True))  # the sum sees what the ReLU has written over its input
        x = x + y
    return m.head(x.mean((2, 3)))


def late_overwriting(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = m.stem(x)
    y = m.one(x)
    x.mul_(-1)
    return m.head((y + m.two(x)).mean((2, 3)))


def dictionary(m: Any, x: torch.Tensor) -> Any:
    return {"features": m.stem(x), "logits": m.head(m.stem(x).amax((2, 3)))}


HEAD = {"head": nn.Linear(6, 4)}
KINDS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: topped(conv(3, 6), nn.ReLU(), conv(6, 6), nn.Tanh()),
    "strided": lambda: topped(conv(3, 6, 5, stride=2, padding=2), nn.ReLU(inplace=True), conv(6, 6, stride=3)),
    "uneven": lambda: topped(conv(3, 6, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2)), nn.ELU(inplace=True)),
    "dilated": lambda: topped(conv(3, 6, dilation=3, padding=3), nn.ReLU(), conv(6, 6, dilation=2, padding=0)),
    "same": lambda: topped(conv(3, 6, 4, padding="same"), nn.ReLU(), conv(6, 6, 2, padding="valid")),
    "reflected": lambda: topped(conv(3, 6, padding_mode="reflect"), conv(6, 6, padding_mode="circular"), conv(6, 6)),
    "grouped": lambda: topped(conv(3, 6, groups=3), normed(6), nn.ReLU6(True), conv(6, 6, groups=6), nn.PReLU(6)),
    "norm-first": lambda: topped(normed(3), conv(3, 6), nn.ReLU(), normed(6), conv(6, 6, bias=False), normed(6)),
    "norm-plain": lambda: topped(conv(3, 6), normed(6, affine=False), nn.Dropout(), nn.LeakyReLU(), nn.Identity()),
    "max-pool": lambda: topped(conv(3, 6), nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(3, 2, 1), conv(6, 6)),
    "max-pool-dilated": lambda: topped(conv(3, 6), nn.MaxPool2d(2, 3, dilation=3, ceil_mode=True), conv(6, 6)),
    "avg-pool": lambda: topped(conv(3, 6), nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(2, 3, 1, ceil_mode=True), conv(6, 6)),
    "avg-pool-uncounted": lambda: topped(
        conv(3, 6), nn.AvgPool2d(3, 2, 1, True, False), nn.AvgPool2d(4, 3, 2, False, False), conv(6, 6)
    ),
    "avg-pool-divided": lambda: topped(conv(3, 6), nn.AvgPool2d(3, 2, 1, divisor_override=5), conv(6, 6)),
    "responses": lambda: topped(conv(3, 6), nn.LocalResponseNorm(3), nn.Softplus(), conv(6, 6)),
    "instance": lambda: topped(conv(3, 6), nn.InstanceNorm2d(6), conv(6, 6)),
    "vgg": lambda: nn.Sequential(
        conv(3, 6), nn.ReLU(True), nn.MaxPool2d(2), conv(6, 6), nn.ReLU(True), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten(), nn.Linear(72, 8), nn.ReLU(True), nn.Dropout(), nn.Linear(8, 4),
    ),
    "residual": lambda: Wired(
        residual, stem=conv(3, 4), norm=normed(4), relu=nn.ReLU(inplace=True), conv1=conv(4, 4, stride=2),
        norm1=normed(4), conv2=conv(4, 6), norm2=normed(6), conv3=conv(6, 6, 1, padding=0), **HEAD,
        down=nn.Sequential(conv(4, 6, 1, stride=2, padding=0), normed(6)),
    ),
    "inception": lambda: Wired(
        inception, stem=conv(3, 5, stride=2), one=conv(5, 1, 1, padding=0), three=conv(5, 2),
        five=conv(5, 1, 5, padding=2), pooled=conv(5, 2, 1, padding=0), **HEAD,
    ),
    "squeezed": lambda: Wired(squeezed, stem=conv(3, 6), gate=conv(6, 6, 1, padding=0), last=conv(6, 6), **HEAD),
    "dense": lambda: Wired(dense, stem=conv(3, 2, stride=2), one=conv(2, 2), two=conv(4, 2), **HEAD),
    "functional": lambda: Wired(scaled, stem=conv(3, 6), norm=normed(6), **HEAD),
    "before-activation": lambda: Wired(before_activation, stem=conv(3, 6), one=conv(6, 6), two=conv(6, 6), **HEAD),
    "overwriting": lambda: Wired(late_overwriting, stem=conv(3, 6), one=conv(6, 6), two=conv(6, 6), **HEAD),
    "dictionary": lambda: Wired(dictionary, stem=conv(3, 6), **HEAD),
}  # fmt: skip


def built(kind: str) -> nn.Module:
    return seeded(KINDS[kind](), seed=3).double()


def scores_of(output: Any) -> torch.Tensor:
    return output["logits"] if isinstance(output, dict) else output


def whole(network: nn.Module, x: torch.Tensor, windows: Windows) -> torch.Tensor:
    """One whole pass a window: `n b k`."""
    made = [windows.make(x, slice(row, row + 1)) for row in range(len(windows))]
    return torch.stack([torch.cat([scores_of(network(one)) for one in each.split(1)]) for each in made])


def part(network: nn.Module, x: torch.Tensor, windows: Windows, at_once: int) -> torch.Tensor:
    """The same by tiles, in an order that mixes windows from everywhere: `n b k`."""
    made = Program.of(network, torch.float64, x)
    boxes = windows.boxes.numpy()
    order = np.random.default_rng(1).permutation(len(boxes))
    found = []
    for one, fill in zip(x.split(1), windows.fill.split(1), strict=True):
        tiles = Walk(made, one, fill, boxes)
        batches = [order[start : start + at_once] for start in range(0, len(order), at_once)]
        found.append(torch.cat([scores_of(tiles.scores(batch)) for batch in batches])[np.argsort(order)])
    return torch.stack(found, 1)


def hidden(x: torch.Tensor, window: int, stride: int) -> Windows:
    return Windows(sliding_windows(*x.shape[-2:], window, stride).boxes, torch.full_like(x, 0.3) + 0.1 * x.flip(3))


@pytest.mark.parametrize("most", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_every_kind_of_network_gives_the_scores_of_whole_passes(
    kind: str, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "MOST_OF_A_MAP", most)
    network, x = built(kind), picture(37, 29, pictures=2).double()
    windows = hidden(x, 9, 7)
    expected = whole(network, x, windows)
    assert (expected[0] - expected[-1]).abs().max() > 1e-5 * expected.abs().max()  # windows do something
    for at_once in (1, 7):
        found = part(network, x, windows, at_once)
        assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()


@torch.no_grad()
def test_windows_anywhere_and_of_any_size() -> None:
    network, x = built("residual"), picture(97, 61).double()
    boxes = [[0, 0, 1, 1], [96, 60, 97, 61], [0, 60, 97, 61], [40, 20, 40, 30], [-5, -5, 200, 200], [3, 50, 20, 80]]
    windows = Windows(torch.tensor(boxes), torch.rand_like(x))
    plain = torch.cat([network(one) for one in (x.clone() for _ in boxes)])
    for row, (top, left, bottom, right) in enumerate(boxes):
        shown = x.clone()
        inside = (..., slice(max(0, top), bottom), slice(max(0, left), right))
        shown[inside] = windows.fill[inside]
        plain[row] = network(shown)[0]
    assert torch.allclose(part(network, x, windows, 6)[:, 0], plain, rtol=0, atol=1e-12)


LAYERS = st.tuples(
    st.sampled_from(["conv", "max", "avg"]),
    st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.booleans(),
)  # fmt: skip


def stacked(layers: list[tuple[str, int, int, int, int, bool]]) -> nn.Module:
    body: list[nn.Module] = [conv(3, 4)]
    for kind, size, stride, padding, dilation, flag in layers:
        if kind == "conv":
            body += [nn.Conv2d(4, 4, size, stride, padding, dilation, groups=4 if flag else 1), nn.ReLU(inplace=flag)]
        elif kind == "max":
            body.append(nn.MaxPool2d(size, stride, min(padding, size // 2), dilation, ceil_mode=flag))
        else:
            body.append(nn.AvgPool2d(size, stride, min(padding, size // 2), dilation == 1, flag))
    return seeded(topped(*body, channels=4)).double()


@settings(max_examples=25, deadline=None)
@given(
    layers=st.lists(LAYERS, min_size=1, max_size=4),
    size=st.tuples(st.integers(23, 40), st.integers(23, 40)),
    window=st.integers(1, 12),
    most=st.sampled_from([0.5, 1.0]),
)
@torch.no_grad()
def test_any_stack_of_kernels_gives_the_scores_of_whole_passes(
    layers: list[tuple[str, int, int, int, int, bool]], size: tuple[int, int], window: int, most: float
) -> None:
    network, x = stacked(layers), picture(*size).double()
    windows = hidden(x, window, window)
    windows = Windows(windows.boxes[:: max(1, len(windows) // 20)], windows.fill)
    try:
        expected = whole(network, x, windows)
    except RuntimeError:  # a map became smaller than the kernel
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "MOST_OF_A_MAP", most)
        found = part(network, x, windows, 8)
    assert (found - expected).abs().max() <= 1e-12 * max(1.0, expected.abs().max())


@torch.no_grad()
def test_a_reach_that_is_too_small_by_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = built("plain"), picture(37, 29).double()
    windows, right = hidden(x, 9, 7), Span.slid
    expected = whole(network, x, windows)
    assert (part(network, x, windows, 7) - expected).abs().max() <= 1e-12 * expected.abs().max()

    def short(span: Span, slide: Slide, size: int) -> Span:
        found = right(span, slide, size)
        return Span(found.low, (found.high - (slide.extent > 1)).clip(found.low), size)

    monkeypatch.setattr(Span, "slid", short)
    assert (part(network, x, windows, 7) - expected).abs().max() > 1e-4 * expected.abs().max()
    # ... by the trial too, which then leaves the scores to whole passes
    passes = Passes(network)
    monkeypatch.setattr(engine, "MOST_LEFT", 9.0)
    many = hidden(x, 9, 4)
    assert (passes.perturbed(x, many) - whole(network, x, many)).abs().max() <= 1e-6 * expected.abs().max()
    assert any("trial" in words for words in passes._runner.questions.ran)


@pytest.mark.parametrize("kind", ["residual", "vgg", "inception", "grouped", "functional"])
def test_passes_run_windows_in_part_in_float32(kind: str) -> None:
    network, x = built(kind).float(), picture(97, 61, pictures=2)
    windows = hidden(x, 12, 10)
    passes = Passes(network)
    found = passes.perturbed(x, windows)
    with torch.no_grad():
        expected = whole(network, x, windows)
    assert passes._runner.questions.ran == ["torch, windows in part"]
    assert passes.count.forward == 2 * len(windows)
    assert (found - expected).abs().max() <= 2e-6 * expected.abs().max()


@pytest.mark.parametrize("precision", ["float32", "fast"])
def test_large_linear_layers_with_packed_weights(precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_LARGE", 1)
    network, x = built("vgg").float(), picture(97, 61)
    windows, passes = hidden(x, 12, 10), Passes(network, precision=precision)
    found = passes.perturbed(x, windows)
    with torch.no_grad():
        expected = whole(network, x, windows)
    assert passes._runner.questions.ran == ["torch, windows in part"]
    assert (found - expected).abs().max() <= (2e-6 if precision == "float32" else 3e-2) * expected.abs().max()


def test_the_network_is_left_as_it_was() -> None:
    network, x = built("residual").float().train(), picture(97, 61)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    own = {name: set(vars(module)) for name, module in network.named_modules()}
    Passes(network).perturbed(x, hidden(x, 12, 10))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert {name: set(vars(module)) for name, module in network.named_modules()} == own
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_changed_weights_are_seen() -> None:
    network, x = built("plain").float(), picture(61, 61)
    windows, passes = hidden(x, 9, 9), Passes(network)
    before = passes.perturbed(x, windows)
    with torch.no_grad():
        network[0].weight *= 2
        after, expected = passes.perturbed(x, windows), whole(network, x, windows)
    assert (after - before).abs().max() > 1e-3 * before.abs().max()
    assert (after - expected).abs().max() <= 1e-5 * expected.abs().max()


class Deciding(nn.Module):
    """Looks at numbers to decide what to do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = topped(conv(3, 6), nn.ReLU())

    def forward(self, x: torch.Tensor) -> Any:
        return self.body(x) if x.mean() > 0.2 else self.body(-x)


def hooked() -> nn.Module:
    network = topped(conv(3, 6), nn.ReLU())
    network[0].register_forward_hook(lambda module, given, found: found * 2)
    return network


class Parts(nn.Module):
    """Writes into a part of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.body = topped(conv(3, 6), nn.ReLU())

    def forward(self, x: torch.Tensor) -> Any:
        x = x * 1
        x[:, 0] = 0
        return self.body(x)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Deciding, "traced"),
        (hooked, "hooks"),
        (Parts, "assignment"),
        (lambda: topped(conv(3, 6), nn.BatchNorm2d(6, track_running_stats=False)), "mixes"),
    ],
)
def test_networks_that_cannot_be_taken_apart_are_run_whole_and_say_why(make: Callable[[], nn.Module], why: str) -> None:
    network, x = seeded(make()), picture(40, 40)
    with pytest.raises(UntraceableError, match=why):
        Program.of(network, torch.float32, x)
    windows, passes = hidden(x, 8, 6), Passes(network)
    found = passes.perturbed(x, windows)
    with torch.no_grad():
        assert torch.allclose(found, whole(network, x, windows), rtol=1e-4, atol=1e-5)
    assert passes.count.forward == len(windows)
    assert any("whole pictures" in words and why in words for words in passes._runner.questions.ran)


def test_half_precision_is_left_to_whole_passes() -> None:
    network, x = built("plain").bfloat16(), picture(61, 61)
    passes = Passes(network)
    passes.perturbed(x, hidden(x, 9, 9))
    assert any("float32" in words for words in passes._runner.questions.ran)


def test_few_windows_and_the_wish_for_torch_alone_cost_nothing_more() -> None:
    network, x = built("plain").float(), picture(61, 61)
    windows, passes = hidden(x, 9, 9), Passes(network, runtime="eager")
    passes.perturbed(x, windows)
    assert passes.count.forward == len(windows)
    few, passes = Windows(windows.boxes[:31], windows.fill), Passes(network)
    passes.perturbed(x, few)
    assert passes.count.forward == 31


class Patches(nn.Module):
    """A small transformer: beside its patches' embedding, whose tiles are small, nothing can be run in part."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix = nn.Conv2d(3, 16, 8, 8), nn.Linear(16, 16)
        self.wide, self.narrow, self.head = nn.Linear(16, 512), nn.Linear(512, 16), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> Any:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = tokens + torch.softmax(tokens @ tokens.transpose(1, 2), 2) @ self.mix(tokens)
        return self.head((tokens + self.narrow(torch.relu(self.wide(tokens)))).mean(1))


def test_where_linear_layers_do_the_work_whole_passes_are_run_and_may_go_to_a_program() -> None:
    network, x = seeded(Patches()).float(), picture(64, 64)
    windows, passes = hidden(x, 8, 6), Passes(network)
    assert Program.of(network, torch.float32, x).rules  # it could be taken apart
    found = passes.perturbed(x, windows)
    with torch.no_grad():
        assert torch.allclose(found, whole(network, x, windows), rtol=1e-4, atol=1e-5)
    assert "torch, windows in part" not in passes._runner.questions.ran


def test_occlusion_is_the_same_in_part_and_whole() -> None:
    network, x = built("residual").float(), picture(97, 97)
    how = Occlusion(window=16, stride=8, score="logit")
    part, whole = (how(Passes(network, runtime=runtime), x, 1).values for runtime in ("auto", "eager"))
    assert (part - whole).abs().max() <= 1e-3 * whole.abs().max()  # of a difference of scores a thousand times as large


def test_fast_precision_is_near() -> None:
    network, x = built("residual").float(), picture(97, 97)
    windows, passes = hidden(x, 16, 12), Passes(network, precision="fast")
    found = passes.perturbed(x, windows)
    with torch.no_grad():
        expected = whole(network, x, windows)
    assert passes._runner.questions.ran == ["torch, windows in part"]
    assert (found - expected).abs().max() <= 3e-2 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_packed_kernels_of_this_torch_are_used(dtype: torch.dtype) -> None:
    """A trial of them that fails for no reason would go unnoticed otherwise: all is right then, and slower by half."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")):
        pytest.skip("this torch has no packed kernels")
    assert convolution.packs(dtype)
    assert program.packs_linear(dtype)


@pytest.mark.parametrize("gone", ["_linear_pointwise", "_reorder_linear_weight", "_convolution_pointwise"])
def test_a_torch_without_its_packed_kernels_gives_the_same_scores(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        """The operators of another torch: one of them has gone."""

        def __getattr__(self, name: str) -> Any:
            if name == gone:
                raise AttributeError(name)
            return getattr(kernels, name)

    kernels = torch.ops.mkldnn
    network, x = built("vgg").float(), picture(61, 61)
    windows = hidden(x, 9, 9)
    expected = Passes(network, runtime="eager").perturbed(x, windows)
    monkeypatch.setattr(program, "_LARGE", 1)
    for test in (program.packs_linear, convolution.packs):
        test.cache_clear()
    monkeypatch.setattr(torch.ops, "mkldnn", Missing())
    try:
        passes = Passes(network)
        found = passes.perturbed(x, windows)
    finally:
        for test in (program.packs_linear, convolution.packs):
            test.cache_clear()
    assert passes._runner.questions.ran == ["torch, windows in part"]
    assert (found - expected).abs().max() <= 2e-6 * expected.abs().max()
