"""Methods and engines that are wrong on purpose: the contract must catch each one, by the right statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn

from sightline.attribution.base import Maps, Method, Needs, Traits
from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
from sightline.attribution.table import METHODS
from sightline.errors import NonFiniteError
from sightline.models import quiet as quiet_room
from sightline.models.targets import Target
from sightline.passes import clean as clean_room
from sightline.passes import looking
from sightline.passes.passes import Passes
from sightline.passes.runner import Runner
from sightline.runs import outcome
from sightline.testing import Report, check_method, networks
from sightline.testing.injections import InjectedError
from sightline.types import Count, Pixels

TRAITS = Traits(family="gradient", needs=Needs.GRADIENTS, cost="1 F + 1 B", paper="none")
SPECIMENS = {specimen.name: specimen for specimen in networks()}


@dataclass(frozen=True, kw_only=True)
class Honest(Method):
    """The gradient, from which every broken twin differs in one thing."""

    traits = TRAITS

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return Maps(values=passes.gradients(pixels, target))


class LeaksHook(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        list(_module(passes).modules())[1].register_forward_hook(lambda _module, _given, _output: None)
        return super().attribute(passes, pixels, target)


class CallsEval(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        _module(passes).eval()
        return super().attribute(passes, pixels, target)


class FillsGradients(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        parameter = next(_module(passes).parameters())
        parameter.grad = torch.ones_like(parameter)
        return super().attribute(passes, pixels, target)


class MixesBatch(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        values = super().attribute(passes, pixels, target).values
        return Maps(values=values / values.abs().max())


class Transposes(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return Maps(values=super().attribute(passes, pixels, target).values.transpose(-1, -2))


class UsesGlobalRandomness(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        noisy = pixels + 0.01 * torch.randn_like(pixels)
        return super().attribute(passes, noisy, target)


class WritesIntoPixels(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        found = super().attribute(passes, pixels, target)
        pixels.mul_(0.5)
        return found


class IgnoresTarget(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return super().attribute(passes, pixels, Target.of(0, len(pixels)))


_KEPT: list[torch.Tensor] = []


class KeepsTensors(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        found = super().attribute(passes, pixels, target)
        _KEPT.append(found.values)
        return found


class HidesNotFinite(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        try:
            return super().attribute(passes, pixels, target)
        except NonFiniteError:
            return Maps(values=torch.full_like(pixels, 0.0))


class SwallowsErrors(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        try:
            return super().attribute(passes, pixels + 0, target)
        except InjectedError:
            return Maps(values=torch.zeros_like(pixels))


class FlattensSmallMaps(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        values = super().attribute(passes, pixels, target).values
        return Maps(values=values / (values.abs().amax((1, 2, 3), keepdim=True) + 1e-8))


class LosesRows(Honest):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return Maps(values=super().attribute(passes, pixels, target).values[..., : pixels.shape[-2] // 2, :])


class LooksNowhere(Honest):
    """Says that it does not weigh places against each other, and does not even see the one that decides."""

    traits = replace(TRAITS, finds=False)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return Maps(values=super().attribute(passes, pixels, target).values.roll(pixels.shape[-1] // 2, -1))


class StretchesRounding(Honest):
    """Shows what a network sees whatever the class, and stretches rounding into a map where it sees nothing."""

    traits = replace(TRAITS, class_sensitive=False)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        values = passes.gradients(pixels, Target.of(0, len(pixels))).abs() + 1e-9 * pixels
        return Maps(values=values / values.amax((1, 2, 3), keepdim=True))


@dataclass(frozen=True, kw_only=True)
class ForgetsSeed(Honest):
    seed: int = 0
    traits = Traits(family="gradient", needs=Needs.GRADIENTS, cost="", paper="", deterministic=False)


@dataclass(frozen=True, kw_only=True)
class ClaimsCompleteness(IntegratedGradients):
    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        found = super().attribute(passes, pixels, target)
        none = torch.zeros_like(found.numbers["completeness_error"])
        return Maps(values=found.values, numbers=dict(found.numbers) | {"completeness_error": none})


def _module(passes: Passes) -> nn.Module:
    assert passes.network is not None
    return passes.network


def wrong(method: Method | str, name: str | None = "plain") -> set[str]:
    """The checks that a method breaks on one network, or on those whose evidence is known."""
    report: Report = check_method(
        method, [SPECIMENS[name]] if name else (), own_networks=name is None, calls=10, demand=False
    )
    return {cell.statement for cell in report.wrong}


def test_the_honest_twin_keeps_the_contract() -> None:
    assert wrong(Honest()) == set()
    assert wrong(Honest(), None) == set()


@pytest.mark.parametrize(
    ("method", "statement"),
    [
        (LeaksHook(), "S3-as-found"),
        (CallsEval(), "S4-own-train"),
        (FillsGradients(), "S3-as-found"),
        (MixesBatch(), "M8-batch"),
        (UsesGlobalRandomness(), "S3-as-found"),
        (WritesIntoPixels(), "M8-batch"),
        (IgnoresTarget(), "M9-class-sensitive"),
        (IgnoresTarget(), "M11-colours"),
        (KeepsTensors(), "S2-memory"),
        (HidesNotFinite(), "N5-gradients"),
        (SwallowsErrors(), "S1-passes"),
        (FlattensSmallMaps(), "N2-scale"),
        (LosesRows(), "M7-places"),
        (LooksNowhere(), "M7-places"),
        (LooksNowhere(), "M11-colours"),
        (StretchesRounding(), "N1-flat"),
        (Transposes(), "M7-places"),
        (Transposes(), "M6-tokens"),
        (ForgetsSeed(), "R1-seeds"),
        (ClaimsCompleteness(steps=1), "C1-complete"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Method) else value,
)
def test_a_broken_method_is_caught(method: Method, statement: str) -> None:
    own = statement in ("M9-class-sensitive", "M11-colours", "N5-gradients", "M7-places", "M6-tokens", "R1-seeds")
    assert statement in wrong(method, None if own else "plain")
    _KEPT.clear()


def _hush_for_ever(network: nn.Module, undo: Any) -> None:
    for module in network.modules():
        module.training = False


def _hush_gradients_only(network: nn.Module, undo: Any) -> None:
    return None


@contextmanager
def _quiet_without_counting(network: nn.Module | None) -> Iterator[None]:
    """The first form of `quiet`: each block puts back what it found, whoever else is inside."""
    modes = {module: module.training for module in network.modules()} if network is not None else {}
    for module in modes:
        module.training = False
    yield
    for module, mode in modes.items():
        module.training = mode


@contextmanager
def _watch_carelessly(network: nn.Module) -> Iterator[list[Any]]:
    """Hooks that leave only where nothing fails."""
    with looking_watch(network) as events:
        handles = [module.register_forward_hook(lambda *_: None) for _, module in network.named_modules()]
        yield events
        for handle in handles:
            handle.remove()


looking_watch = looking.watch


@contextmanager
def _capture_without_copy(network: nn.Module, names: Any) -> Iterator[dict[str, list[torch.Tensor]]]:
    """Activations that a later in-place operation writes over."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in names}

    def hook_for(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _given: Any, output: torch.Tensor) -> None:
            found[name].append(output.requires_grad_() if not output.requires_grad else output)

        return hook

    handles = [network.get_submodule(name).register_forward_hook(hook_for(name)) for name in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(
    ("owner", "name", "value", "method", "network", "statement"),
    [
        (quiet_room, "_hush", _hush_for_ever, "gradient", "plain", "S3-as-found"),
        (quiet_room, "_hush", _hush_gradients_only, "gradient", "batch norm and dropout", "S3-evaluation"),
        (quiet_room, "_hush", _hush_gradients_only, "gradient", "batch norm and dropout", "S3-as-found"),
        ("sightline.passes.runner", "quiet", _quiet_without_counting, "gradient", "class token", "S6-interleaved"),
        (looking, "watch", _watch_carelessly, "gradient", "plain", "S1-passes"),
        (looking, "capture", _capture_without_copy, "grad-cam", "in-place relu", "M1-twin"),
        (clean_room, "_blind", lambda layer, gradient: False, "grad-cam", "class token", "M5-layers"),
        (outcome, "findings", lambda values: (), "grad-cam", "plain", "N1-flat"),
        (Runner, "counted", lambda self, forward=0, backward=0: None, "occlusion", "plain", "P1-counted"),
        (Runner, "working", lambda self: self, "integrated-gradients(steps=2)", "plain", "S5-caller"),
    ],
)
def test_a_broken_engine_is_caught(
    owner: Any, name: str, value: Any, method: str, network: str, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(owner, str):
        monkeypatch.setattr(f"{owner}.{name}", value)
    else:
        monkeypatch.setattr(owner, name, value)
    assert statement in wrong(method, network)


def test_counts_that_lie_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Count, "__sub__", lambda self, other: Count())
    assert "P1-counted" in wrong("occlusion(window=8, stride=8)")


def test_threads_without_a_lock_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unlocked(quiet_room._Hold):
        def __init__(self) -> None:
            super().__init__()
            self.lock = nullcontext()  # type: ignore[assignment]

    monkeypatch.setattr(quiet_room, "_Hold", Unlocked)
    found = set[str]()
    for _ in range(10):  # a race is not lost every time
        found |= wrong(METHODS.make("grad-cam"), "residual")
        if "S7-threads" in found:
            break
    assert "S7-threads" in found
