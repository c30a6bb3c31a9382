"""Gradients by compiled programs: the network's own, whatever its operations, as it is now; else torch's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from sightline.errors import NonFiniteError
from sightline.models.classifier import wrap
from sightline.models.targets import Target
from sightline.passes.aims import Aim
from sightline.passes.memory import MEMORY
from sightline.passes.passes import Passes
from sightline.passes.perturbations import Path, Perturbation
from sightline.passes.runtimes import openvino_program
from sightline.passes.runtimes.gradients import convolutions
from sightline.passes.runtimes.gradients.halves import Backward, Forward, handed
from sightline.passes.runtimes.gradients.joint import joint
from sightline.passes.runtimes.gradients.kept import BothWays
from sightline.passes.runtimes.held import kept_for
from sightline.passes.runtimes.question import Runtime
from small import close, seeded, smooth

needs_openvino = pytest.mark.skipif(not openvino_program.installed(), reason="OpenVINO is not installed (extra: fast)")

SCALE = 1.0


def pictures(count: int = 4, height: int = 19, width: int = 22) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(3))


class Of(nn.Module):
    """Some operations on maps of eight channels, and a linear head."""

    def __init__(self, middle: Callable[[torch.Tensor], torch.Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)
        self.middle = middle
        seeded(self)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.middle(torch.tanh(self.stem(SCALE * x)))
        for part in self.parts:
            maps = part(maps)
        return self.head(maps.flatten(2).mean(2) if maps.ndim == 4 else maps.mean(1))


def by(*parts: nn.Module) -> Of:
    return Of(lambda maps: maps, *parts)


class Normed(nn.BatchNorm2d):
    """With statistics and weights that are not those of the beginning."""

    def __init__(self, channels: int = 8, *, affine: bool = True) -> None:
        super().__init__(channels, affine=affine)
        draw = torch.Generator().manual_seed(1)
        for values in [self.running_mean, *self.parameters()]:
            assert values is not None
            values.data.copy_(torch.randn(channels, generator=draw))
        assert self.running_var is not None
        self.running_var.copy_(torch.rand(channels, generator=draw) + 0.5)


class Tokens(nn.Module):
    """One block of a transformer over the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.mix = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.wide = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        tokens = maps[:, :, 1::3, ::4].flatten(2).transpose(1, 2)
        seen = self.norm(tokens)
        tokens = tokens + functional.scaled_dot_product_attention(seen, seen, seen)
        return tokens + self.wide(tokens)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: by(nn.Conv2d(8, 8, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3), nn.ReLU6()),
    "leaky": lambda: by(nn.LeakyReLU(0.1), nn.ELU(), nn.Softplus()),
    "smooth gates": lambda: by(nn.SiLU(), nn.Hardswish(), nn.Hardsigmoid(), nn.GELU(), nn.Sigmoid(), nn.Mish()),
    "strided": lambda: by(nn.Conv2d(8, 24, 3, 2, 1), nn.Conv2d(24, 8, 1, 2)),
    "strided to few channels": lambda: by(nn.Conv2d(8, 12, 5, 3, 2), nn.Conv2d(12, 8, 2, 2)),
    "dilated": lambda: by(nn.Conv2d(8, 8, 3, padding=4, dilation=2), nn.Conv2d(8, 8, 3, stride=2, dilation=2)),
    "wide padding": lambda: by(nn.Conv2d(8, 8, 1, padding=2)),
    "groups": lambda: by(nn.Conv2d(8, 16, 3, padding=1, groups=4), nn.Conv2d(16, 8, 3, 2, groups=8)),
    "batch normalisation": lambda: by(Normed(), nn.ReLU(), nn.Conv2d(8, 8, 1), Normed(affine=False)),
    "layer normalisation": lambda: by(nn.LayerNorm([8, 19, 22])),
    "group normalisation": lambda: by(nn.GroupNorm(2, 8)),
    "max pool": lambda: by(nn.MaxPool2d(3, 2, 1)),
    "max pool over ties": lambda: by(nn.ReLU(), nn.MaxPool2d((2, 3), (1, 2), ceil_mode=True)),
    "max pool, dilated": lambda: by(nn.MaxPool2d(2, 2, dilation=3)),
    "average pool": lambda: by(nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(2)),
    "mean": lambda: by(nn.AdaptiveAvgPool2d(1)),
    "squeeze and excite": lambda: Of(lambda maps: maps * maps.mean((2, 3), keepdim=True).sigmoid()),
    "branches": lambda: Of(lambda maps: torch.cat([maps[:, :4] + maps[:, 4:], maps[:, 2:6].relu()], 1)),
    "shifted": lambda: Of(lambda maps: functional.pad(maps, (1, -1, 2, 0)) + maps.roll(3, 2)[:, :, :1]),
    "in place": lambda: Of(lambda maps: maps.mul(2.0).add_(1.0).relu_()),
    "tokens": lambda: by(Tokens()),
    "no head": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()),
}


def halves(network: nn.Module, pixels: torch.Tensor, seed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and gradient by the two halves of the traced passes, run by torch."""
    traced = joint(network, pixels)
    with torch.no_grad():
        scores, *saved = Forward(traced)(pixels)
        exactly, given = traced.exactly(pixels)
        assert close(exactly, network(pixels), 1e-6)
        assert [one.shape for one in saved] == [handed(one).shape for one in given]
        return scores, Backward(traced)(seed, *saved)


@pytest.mark.parametrize("name", NETWORKS)
def test_both_halves_together_give_the_networks_gradient(name: str) -> None:
    network, pixels = NETWORKS[name](), pictures()
    leaf = pixels.clone().requires_grad_()
    scores = network(leaf)
    seed = torch.randn(scores.shape, generator=torch.Generator().manual_seed(4))
    (expected,) = torch.autograd.grad(scores, leaf, seed)
    found_scores, found = halves(network, pixels, seed)
    assert close(found_scores, scores.detach(), 1e-5)
    assert close(found, expected, 1e-5)


def test_of_a_relu_one_byte_a_value_is_saved() -> None:
    traced = joint(NETWORKS["relu"](), pictures())
    saved = [handed(one) for one in traced.exactly(pictures())[1]]
    assert sorted(str(one.dtype) for one in saved) == ["torch.float32", "torch.uint8", "torch.uint8"]  # and the tanh


@pytest.mark.parametrize(
    "network",
    [
        by(nn.AdaptiveAvgPool2d(5)),
        by(nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        Of(lambda maps: maps.as_strided((4, 8, 3, 3), (8, 1, 1, 1))),
        nn.Sequential(nn.ConvTranspose2d(3, 4, 2), nn.Flatten(2), nn.AdaptiveAvgPool1d(1), nn.Flatten()),
    ],
    ids=["uneven cells", "uneven windows", "places in memory", "transposed"],
)
def test_what_has_no_rule_is_refused(network: nn.Module) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        halves(network, pictures(), torch.ones(4, 4))


def test_a_gradient_that_does_not_come_back_is_refused() -> None:
    with pytest.raises((ValueError, RuntimeError)):
        joint(lambda pixels: pixels.detach().mean((2, 3)), pictures())


# Through Passes


def path(
    network: nn.Module, runtime: Runtime, count: int = 4, *, size: int = 24, **how: Any
) -> tuple[torch.Tensor, str, Passes]:
    """Mean gradients along a way of some points, what ran, and the passes."""
    pixels, target = pictures(1, size, size), Target.of([1], 1)
    passes = Passes(wrap(network, head="softmax"), runtime=runtime, **how)
    with passes:
        line = Path(torch.zeros_like(pixels), torch.linspace(0.1, 1, count))
        passes.mean_gradients(pixels, line, torch.ones(count) / count, target)
        passes.ran()
        before = passes.count
        found = passes.mean_gradients(pixels, line, torch.ones(count) / count, target)
        assert (passes.count.forward - before.forward, passes.count.backward - before.backward) == (count, count)
        return found, passes.ran(), passes


class Lighter(Perturbation):
    """Each picture once, with a number added to it."""

    def __init__(self, by: torch.Tensor) -> None:
        self.by = by

    def __len__(self) -> int:
        return 1

    def make(self, pixels: torch.Tensor, rows: slice) -> torch.Tensor:
        assert rows == slice(0, 1)
        return pixels + self.by


def known(network: nn.Module, size: int = 24) -> BothWays:
    return kept_for(network, pictures(1, size, size), BothWays("f32"))


@needs_openvino
@pytest.mark.parametrize("name", ["relu", "smooth gates", "batch normalisation", "max pool", "groups", "branches"])
def test_programs_give_what_torch_gives(name: str) -> None:
    network = NETWORKS[name]()
    own, ran, _ = path(network, "eager")
    assert ran == "torch"
    found, ran, passes = path(network, "openvino")
    assert "gradients by" in ran, known(network).refusal
    assert passes.numbers == ("float32",)
    assert close(found, own, 1e-4)


@needs_openvino
def test_fast_runs_back_in_the_numbers_that_are_faster() -> None:
    if not openvino_program.has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    network = NETWORKS["batch normalisation"]()
    own, _, _ = path(network, "eager")
    found, ran, passes = path(network, "openvino", precision="fast")
    assert "gradients by" in ran
    assert passes.numbers[0].startswith("float32")
    assert close(found, own, 3e-2)


@needs_openvino
def test_fewer_pictures_than_the_programs_take_are_filled_up() -> None:
    network = smooth(4)
    path(network, "openvino", 8)
    own, _, _ = path(network, "eager", 13)
    found, ran, _ = path(network, "openvino", 13)  # eight, and five
    assert "gradients by" in ran
    assert close(found, own, 1e-4)


@needs_openvino
def test_any_value_of_the_scores_is_followed_back() -> None:
    network, pixels, target = smooth(4), pictures(6, 24, 24), Target.of([0, 1, 2, 3, 0, 1], 6)

    def surprise(scores: torch.Tensor, asked: Target) -> torch.Tensor:
        return -(asked.score(scores.log_softmax(1)) ** 2)

    def ask(runtime: Runtime) -> tuple[torch.Tensor, torch.Tensor]:
        with Passes(wrap(network, head="softmax"), runtime=runtime) as passes:
            for _ in range(2):
                shift = torch.zeros(6, 1, 1, 1)
                found = passes.at(pixels, shift, Lighter, aim)
            return found

    aim = Aim(target, torch.ones(1), surprise)
    for found, own in zip(ask("openvino"), ask("eager"), strict=True):
        assert close(found, own, 1e-4)


@needs_openvino
@pytest.mark.parametrize("how", ["weights", "global", "layer"])
def test_programs_are_let_go_when_the_network_is_another(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS["relu"]()
    path(network, "openvino")
    assert known(network).program is not None
    if how == "weights":
        next(network.parameters()).data.mul_(-1)
    elif how == "global":
        monkeypatch.setattr(f"{__name__}.SCALE", -2.0)
    else:
        network.parts[3] = nn.Tanh()
    own, _, _ = path(network, "eager")
    found, _, _ = path(network, "openvino")
    assert close(found, own, 1e-4)


@needs_openvino
def test_a_wrong_rule_is_found_out_and_torch_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolutions, "_turned", lambda weight, groups: weight.transpose(0, 1))  # not turned round
    network = NETWORKS["relu"]()
    own, _, _ = path(network, "eager")
    found, ran, _ = path(network, "openvino")
    assert "gradients by" not in ran
    assert "gradient is not the network's" in (known(network).refusal or "")
    assert torch.equal(found, own)


@needs_openvino
def test_hooks_on_gradients_are_left_to_torch() -> None:
    network, seen = NETWORKS["relu"](), []
    network.stem.register_full_backward_hook(lambda *_: seen.append(1))
    _, ran, _ = path(network, "openvino")
    assert seen
    assert "gradients by" not in ran


@needs_openvino
def test_float32_keeps_the_networks_bits_unless_programs_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BothWays, "pays", lambda *_: True)
    network = NETWORKS["relu"]()
    own, _, _ = path(network, "eager")
    found, ran, _ = path(network, "auto")
    assert ran == "torch"
    assert torch.equal(found, own)


@needs_openvino
def test_where_the_layout_may_change_programs_come_when_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of an optimiser, whose way parts from any other at the first rounding."""
    network, pixels, target = NETWORKS["relu"](), pictures(4, 24, 24), Target.of([0, 1, 2, 3], 4)

    def ask(runtime: Runtime) -> tuple[torch.Tensor, str]:
        with Passes(wrap(network, head="softmax"), runtime=runtime) as passes:
            passes.scores(pixels)
            for _ in range(2):
                passes.ran()
                shift = torch.zeros(4, 1, 1, 1)
                aim = Aim(target, torch.ones(1), lambda scores, asked: asked.score(scores))
                found = passes.at(pixels, shift, Lighter, aim)[1]
            return found, passes.ran()

    own, ran = ask("auto")
    assert ran == "torch"  # eight passes do not pay for a program
    monkeypatch.setattr(BothWays, "pays", lambda *_: True)
    monkeypatch.setattr("sightline.passes.runtimes.gradients.programs._Making.pace", lambda *_: 0.0)
    found, ran = ask("auto")
    assert "gradients by" in ran, kept_for(network, pixels, BothWays("f32")).refusal
    assert close(found, own, 1e-4)


@needs_openvino
def test_slower_programs_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BothWays, "pays", lambda *_: True)
    monkeypatch.setattr("sightline.passes.runtimes.gradients.programs._Making.pace", lambda *_: 1e9)
    network = NETWORKS["smooth gates"]()
    _, ran, _ = path(network, "auto", precision="fast")
    assert ran == "torch"
    assert "not faster" in (kept_for(network, pictures(1, 24, 24), BothWays("bf16")).refusal or "")


@needs_openvino
def test_a_gradient_that_is_no_number_is_told_as_torch_tells_it() -> None:
    network = Of(lambda maps: (maps - maps).abs().sqrt() + maps)
    with pytest.raises(Exception, match=r"NaN|infinite"):
        path(network, "openvino")


class LostElsewhere(Of):
    """From some brightness on one class of four is no number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = super().forward(x)
        return torch.cat([scores[:, :3], (2.0 - x.mean((1, 2, 3))[:, None]).log() + scores[:, 3:]], 1)


@needs_openvino
def test_a_class_that_is_no_number_is_told_though_another_is_asked_about() -> None:
    network, pixels, target = LostElsewhere(lambda maps: maps), pictures(4, 24, 24).clamp(-1, 1), Target.of([0] * 4, 4)
    with Passes(wrap(network, head="softmax"), runtime="openvino") as passes:
        for _ in range(2):
            passes.gradients(pixels, target)
        assert known(network).program is not None
        with pytest.raises(NonFiniteError):
            passes.gradients(pixels + 3, target)


def test_a_program_pays_after_enough_passes_and_not_before() -> None:
    kept, network = BothWays("f32"), smooth()
    kept.eager = 50
    assert not kept.pays(network, 0.08)
    kept.eager = 5000
    assert kept.pays(network, 0.08)


@needs_openvino
def test_programs_are_looked_at_once_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pixels, target = smooth(4), pictures(4, 24, 24), Target.of([0, 1, 2, 3], 4)
    looks: list[int] = []
    own = BothWays.stands
    monkeypatch.setattr(BothWays, "stands", lambda self, asked: looks.append(1) or own(self, asked))
    aim, shift = Aim(target, torch.ones(1), lambda scores, asked: asked.score(scores)), torch.zeros(4, 1, 1, 1)
    with Passes(wrap(network, head="softmax"), runtime="openvino") as passes:
        passes.scores(pixels)
        passes.at(pixels, shift, Lighter, aim)  # makes the programs
        for _ in range(3):
            passes.at(pixels, shift, Lighter, aim)
        assert len(looks) == 3
        with passes.one_question():
            for _ in range(3):
                passes.at(pixels, shift, Lighter, aim)
        assert len(looks) == 4


@needs_openvino
def test_a_single_picture_makes_no_program_before_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    network = smooth(4)
    _, ran, _ = path(network, "openvino", 1)
    assert "gradients by" not in ran
    monkeypatch.setattr(BothWays, "pays", lambda *_: True)
    own, _, _ = path(network, "eager", 1)
    found, ran, _ = path(network, "openvino", 1)
    assert "gradients by" in ran
    assert close(found, own, 1e-4)


@needs_openvino
def test_another_session_looks_again_whether_programs_stand() -> None:
    """Its questions are not those in which the programs were last looked at, whatever their numbers."""
    network, pixels, target = NETWORKS["relu"](), pictures(4, 24, 24), Target.of([0, 1, 2, 3], 4)

    def ask(runtime: Runtime) -> torch.Tensor:
        with Passes(wrap(network, head="softmax"), runtime=runtime) as passes:
            return passes.gradients(pixels, target)

    for _ in range(3):
        ask("openvino")
    assert known(network).program is not None
    for parameter in network.parameters():
        parameter.data.mul_(-0.7)
    assert close(ask("openvino"), ask("eager"), 1e-4)


@needs_openvino
def test_threads_do_not_come_between_the_way_forward_and_the_way_back() -> None:
    network, target = smooth(4), Target.of([0, 1, 2, 3], 4)
    batches = [pictures(4, 24, 24) * factor for factor in (0.5, -1.0, 1.5, 2.0)]

    def ask(pixels: torch.Tensor, runtime: Runtime = "openvino") -> torch.Tensor:
        with Passes(wrap(network, head="softmax"), runtime=runtime) as passes:
            return [passes.gradients(pixels, target) for _ in range(6)][-1]

    expected = [ask(pixels, "eager") for pixels in batches]
    ask(batches[0])
    assert known(network).program is not None
    with ThreadPoolExecutor(4) as threads:
        for found, own in zip(threads.map(ask, batches), expected, strict=True):
            assert close(found, own, 1e-4)


@needs_openvino
def test_where_another_thread_is_at_work_torch_answers() -> None:
    network = smooth(4)
    own, _, _ = path(network, "openvino")
    programs = known(network).program
    assert programs is not None
    with programs.alone() as mine:
        assert mine
        found, ran, _ = path(network, "openvino")
    assert ran == "torch"
    assert close(found, own, 1e-4)
    assert "gradients by" in path(network, "openvino")[1]


class OneSize(Of):
    """Asserts its size, as transformers of timm do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-1] == 72
        return super().forward(x)


@needs_openvino
def test_networks_of_one_size_have_programs() -> None:
    network = OneSize(lambda maps: maps, nn.SiLU())
    own, _, _ = path(network, "eager", size=72)
    found, ran, _ = path(network, "openvino", size=72)
    assert "gradients by" in ran
    assert close(found, own, 1e-4)


@needs_openvino
def test_where_memory_is_short_no_program_is_made() -> None:
    network = smooth(4)
    Passes(wrap(network)).linear_head(pictures(1, 24, 24))  # for which it is surveyed
    survey = MEMORY.survey(network, pictures(1, 24, 24))
    assert survey is not None
    passes, making = 8 * survey.gradient_bytes, 6 * sum(4 * one.numel() for one in network.parameters())
    _, ran, _ = path(network, "openvino", 8, memory=3 * passes + making - 1)
    assert ran == "torch"
    _, ran, _ = path(network, "openvino", 8, memory=3 * passes + making)
    assert "gradients by" in ran
