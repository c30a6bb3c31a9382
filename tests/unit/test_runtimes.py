"""Forward-only questions through a compiled program: the network's own scores, always of the network as it is now."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from sightline.errors import MissingExtraError, NotSupportedError, UsageError
from sightline.models.classifier import wrap
from sightline.passes.passes import Passes
from sightline.passes.runtimes import kept as kept_programs
from sightline.passes.runtimes import openvino_program
from sightline.passes.runtimes.fingerprint import fingerprint
from sightline.passes.runtimes.held import kept_for
from sightline.passes.runtimes.kept import Kept, Timed, agree
from sightline.passes.runtimes.question import Runtime
from small import seeded, smooth

needs_openvino = pytest.mark.skipif(not openvino_program.installed(), reason="OpenVINO is not installed (extra: fast)")


def pictures(count: int = 40, size: int = 12) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def ask(network: Any, pixels: torch.Tensor, runtime: Runtime = "openvino", **how: Any) -> tuple[torch.Tensor, Passes]:
    """The scores of one question, and the passes that were asked."""
    with Passes(wrap(network, head="softmax"), runtime=runtime, **how) as passes:
        return passes.scores(pixels), passes


@pytest.fixture
def pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every program would pay for itself, and be the faster one."""
    monkeypatch.setattr(Kept, "pays", lambda *_: True)
    monkeypatch.setattr(kept_programs, "_slower", lambda *_: None)


# ---- the same answers


class Named(nn.Module):
    """Gives its scores in a dict, beside something else."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = smooth()

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": x, "logits": self.inner(x)}


@needs_openvino
@pytest.mark.parametrize("make", [smooth, Named])
def test_a_program_gives_the_networks_scores_and_all_passes_are_counted(make: Callable[[], nn.Module]) -> None:
    network, pixels = make().eval(), pictures(77)  # 77: batches of 8, and one of 5
    plain, eager = ask(network, pixels, "eager")
    found, passes = ask(network, pixels)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-5 * float(plain.max() - plain.min()))
    assert passes.count == eager.count
    assert passes.count.forward == 77
    assert passes._runner.questions.by_program == 77
    assert eager._runner.questions.by_program == 0
    assert passes.ran().startswith("openvino 20")
    assert eager.ran() == "torch"


@needs_openvino
def test_the_network_is_left_as_it_was() -> None:
    network = smooth().train()
    before, attributes = copy.deepcopy(network.state_dict()), [sorted(vars(module)) for module in network.modules()]
    pixels = pictures()
    kept = pixels.clone()
    ask(network, pixels)
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert [sorted(vars(module)) for module in network.modules()] == attributes
    assert all(torch.equal(now, before[name]) for name, now in network.state_dict().items())
    assert torch.equal(pixels, kept)


@needs_openvino
def test_a_program_dies_with_its_network() -> None:
    network = smooth()
    ask(network, pictures())
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


@needs_openvino
def test_fast_computes_in_bfloat16() -> None:
    if not openvino_program.has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    network, pixels = smooth(), pictures()
    plain, _ = ask(network, pixels, "eager")
    found, passes = ask(network, pixels, precision="fast")
    spread = float(plain.max() - plain.min())
    assert 1e-6 * spread < float((found - plain).abs().max()) < 3e-2 * spread
    assert "bfloat16" in passes.ran()


# ---- of the network as it is now


def _by_data(network: nn.Sequential) -> None:
    network[0].weight.data[0, 0, 0, 0] += 0.5


def _in_place(network: nn.Sequential) -> None:
    with torch.no_grad():
        network[2].bias.add_(0.3)


def _shuffled(network: nn.Sequential) -> None:
    weight = network[2].weight.data
    weight.copy_(
        weight.flatten()[torch.randperm(weight.numel(), generator=torch.Generator().manual_seed(1))].view_as(weight)
    )


def _loaded(network: nn.Sequential) -> None:
    network.load_state_dict(seeded(smooth(), 7).state_dict())


def _replaced(network: nn.Sequential) -> None:
    network[1] = nn.ReLU()


def _setting(network: nn.Sequential) -> None:
    network[0].padding = (0, 0)
    network[0]._reversed_padding_repeated_twice = [0, 0, 0, 0]


def _own_forward(network: nn.Sequential) -> None:
    network[1].forward = torch.relu


CHANGES = [_by_data, _in_place, _shuffled, _loaded, _replaced, _setting, _own_forward]


@needs_openvino
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("pays")
def test_scores_follow_a_change_of_the_network(change: Callable[[Any], None]) -> None:
    network, pixels = smooth(), pictures()
    with Passes(wrap(network, head="softmax")) as passes:
        before = passes.scores(pixels)
        assert passes._runner.questions.by_program == 40
        change(network)
        found = passes.scores(pixels)
    plain, _ = ask(network, pixels, "eager")
    spread = float(plain.max() - plain.min())
    assert float((before - plain).abs().max()) > 1e-3 * spread  # the change matters
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-5 * spread)


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_sees_a_change_and_stays_where_there_is_none(change: Callable[[Any], None]) -> None:
    network = smooth()
    before = fingerprint(network)
    assert fingerprint(network) == before
    assert fingerprint(copy.deepcopy(network)) == before
    change(network)
    assert fingerprint(network) != before


@pytest.mark.parametrize("now", [partial(torch.mul, other=2.0), {"deep": [{"factor": 2.5}]}, [torch.zeros(2)], 7, None])
def test_the_fingerprint_sees_what_modules_hold_beside_weights(now: Any) -> None:
    network: Any = smooth()
    network[1].held = {"deep": [{"factor": 1.5}]} if isinstance(now, dict) else partial(torch.mul, other=1.0)
    before = fingerprint(network)
    assert fingerprint(network) == before
    network[1].held = now
    assert fingerprint(network) != before


@needs_openvino
def test_pixels_of_another_type_are_taken_as_torch_takes_them() -> None:
    network, pixels = smooth(), pictures().double()
    found, passes = ask(network, pixels)
    assert found.dtype is torch.float32
    assert passes.ran().startswith("openvino")
    torch.testing.assert_close(found, ask(network, pixels, "eager")[0], rtol=0, atol=1e-5)


SCALE = {"by": 1.0}


class Scaled(nn.Module):
    """Depends on a number outside of all modules, which no fingerprint can see."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = smooth()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * SCALE["by"]


@needs_openvino
def test_a_change_outside_of_the_network_is_seen_in_its_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pixels = Scaled().eval(), pictures()
    ask(network, pixels)
    monkeypatch.setitem(SCALE, "by", 2.0)
    found, _ = ask(network, pixels)
    torch.testing.assert_close(found, ask(network, pixels, "eager")[0])


@needs_openvino
@pytest.mark.usefixtures("pays")
def test_hooks_that_come_later_are_called() -> None:
    network, pixels = smooth(), pictures()
    ask(network, pixels, "auto")
    handle = network[1].register_forward_hook(lambda _module, _given, output: output * 0.5)
    found, passes = ask(network, pixels, "auto")
    torch.testing.assert_close(found, ask(network, pixels, "eager")[0], rtol=0, atol=0)
    assert passes.ran() == "torch (a module of it has hooks)"
    handle.remove()
    assert "openvino" in ask(network, pixels, "auto")[1].ran()


# ---- what cannot be a program is asked by torch, and the reason is said


class Decides(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) if x.mean() > 0 else x.amax((2, 3))


class Listens(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * (1 + len([value for value in x.mean((1, 2, 3)).tolist() if value > 0]))


class Draws(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, 1e-6, training=True).mean((2, 3))


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x.mean((2, 3))


class BuiltIn(nn.Module):
    """Takes the number of pictures for a constant: run with another, such a program read beyond its memory."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1).mean(1)


def _half() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(432, 3)).double()


def _mixes() -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())


REFUSED = [
    (Decides, "looks at numbers"),
    (Listens, "looks at numbers"),
    (Draws, "draws random numbers"),
    (Counts, "changes the network itself"),
    (BuiltIn, "takes the number of pictures for a constant"),
    (_half, "float64"),
    (_mixes, "mixes the pictures"),
    (lambda: lambda x: x.mean((2, 3)), "is a function"),
]


@needs_openvino
@pytest.mark.parametrize(("make", "reason"), REFUSED)
@pytest.mark.usefixtures("pays")
def test_a_network_that_cannot_be_a_program_is_asked_by_torch(make: Callable[[], Any], reason: str) -> None:
    network, pixels = make(), pictures()
    found, passes = ask(network, pixels, "auto")
    assert passes._runner.questions.by_program == 0
    assert reason in passes.ran()
    if make is not Draws:
        assert torch.equal(found, ask(network, pixels, "eager")[0])
    with pytest.raises(NotSupportedError, match=reason):
        ask(network, pixels, "openvino")


@needs_openvino
@pytest.mark.usefixtures("pays")
def test_a_wrong_program_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    right = openvino_program.Program.__call__

    def wrong(self: Any, pixels: torch.Tensor) -> torch.Tensor:
        answers = right(self, pixels)
        answers[3, 0] += 1e-3 * (answers.max() - answers.min())
        return answers

    monkeypatch.setattr(openvino_program.Program, "__call__", wrong)
    network, pixels = smooth(), pictures()
    found, passes = ask(network, pixels, "auto")
    assert torch.equal(found, ask(network, pixels, "eager")[0])
    assert passes.ran() == "torch (the program's scores are not the network's)"


@needs_openvino
@pytest.mark.usefixtures("pays")
def test_a_program_that_fails_later_hands_over_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    right = openvino_program.Program.__call__

    def breaks(self: Any, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) == 5:
            raise RuntimeError("no memory")
        return right(self, pixels)

    monkeypatch.setattr(openvino_program.Program, "__call__", breaks)
    network, pixels = smooth(), pictures(77)
    found, passes = ask(network, pixels, "auto", memory=32 * 3 * 12 * 12 * 4 * 100)
    torch.testing.assert_close(found, ask(network, pixels, "eager")[0])
    assert passes.count.forward == 77


@needs_openvino
def test_a_slower_program_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "pays", lambda *_: True)
    paces = iter([1.0, 2.0, 1.0, 1.5])  # torch, program, torch again, program again: seconds a picture
    monkeypatch.setattr(kept_programs, "timed", lambda asks, pixels: Timed(asks(pixels), next(paces)))
    monkeypatch.setattr("sightline.passes.runtimes.question.timed", kept_programs.timed)
    network, pixels = smooth(), pictures()
    found, passes = ask(network, pixels, "auto")
    assert torch.equal(found, ask(network, pixels, "eager")[0])
    assert passes.ran() == "torch (it is not faster: 1500.0 against 1000.0 ms a picture)"


# ---- when it pays


@needs_openvino
def test_few_passes_make_no_program() -> None:
    network = smooth()
    found, passes = ask(network, pictures(64), "auto")
    assert passes.ran() == "torch"
    assert kept_for(network, pictures(1), Kept("f32")).program is None
    assert len(found) == 64


def test_a_program_pays_after_enough_passes_and_not_before() -> None:
    known, network = Kept("f32"), smooth()
    known.eager = 5
    assert not known.pays(network, 0.03)
    known.eager = 500
    assert known.pays(network, 0.03)


@needs_openvino
def test_six_programs_of_a_network_are_kept() -> None:
    network = smooth()
    sizes = (8, 9, 10, 11, 12, 13, 14)
    for size in sizes:
        ask(network, pictures(4, size))
    kept = [kept_for(network, pictures(1, size), Kept("f32")).program is not None for size in sizes]
    assert kept == [False] + [True] * 6


def test_scores_agree_within_the_tolerance_only() -> None:
    scores = torch.tensor([[1.0, 3.0], [0.0, 2.0]])
    assert agree(scores + 1e-4, scores, "f32")
    assert not agree(scores + 1e-3, scores, "f32")
    assert agree(scores + 1e-3, scores, "bf16")
    assert not agree(scores * float("nan"), scores, "f32")
    assert not agree(scores[:1], scores, "f32")


# ---- choosing it, and being without it


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown runtime 'opnvino': did you mean 'openvino'"):
        Passes(smooth(), runtime="opnvino")  # type: ignore[arg-type]


def test_without_openvino_torch_answers_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_program, "installed", lambda: False)
    found, passes = ask(smooth(), pictures(), "auto")
    assert torch.equal(found, ask(smooth(), pictures(), "eager")[0])
    assert passes.ran() == "torch (OpenVINO is not installed: pip install 'sightline[fast]')"
    with pytest.raises(MissingExtraError, match=r"sightline\[fast\]"):
        Passes(smooth(), runtime="openvino")


_IMPORTS = """
import sys
from sightline.passes.runtimes import openvino_program
assert "openvino" not in sys.modules
openvino_program.has_bfloat16()
assert "openvino" in sys.modules and "openvino_telemetry" not in sys.modules
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__)
"""


@needs_openvino
def test_openvino_is_imported_without_its_report_to_the_network() -> None:
    told = subprocess.run([sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "openvino.tools.ovc.telemetry_stub"


@needs_openvino
@pytest.mark.usefixtures("pays")
def test_attention_without_dropout_draws_no_random_numbers() -> None:
    class Attends(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens).mean(1)

    found, passes = ask(Attends(), pictures(), "auto")
    assert passes.ran().startswith("openvino")
    torch.testing.assert_close(found, ask(Attends(), pictures(), "eager")[0], rtol=0, atol=1e-5)
