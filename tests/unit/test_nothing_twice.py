"""What was asked once about a clean pass is not asked again: gradients at a layer and at the pixels, by target."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from sightline.attribution.result import Attribution
from sightline.models.targets import AgainstMixture, Target
from sightline.passes.known import Known, alike
from sightline.runs.explain import explain
from sightline.testing.architectures import Plain, Tokens
from sightline.testing.networks import seeded
from sightline.types import Count

TEN = [
    "grad-cam", "grad-cam-plus-plus", "hires-cam", "grad-cam-element-wise", "xgrad-cam",
    "layer-cam", "eigen-cam", "eigen-grad-cam", "kpca-cam", "fem",
]  # fmt: skip


class Counting(nn.Module):
    """Counts the pictures that go forward, and the backward passes that reach the scores."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.forwards, self.backwards = network, 0, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.forwards += len(x)
        scores: torch.Tensor = self.network(x)
        if scores.requires_grad:
            scores.register_hook(self._backward)
        return scores

    def _backward(self, gradient: torch.Tensor) -> None:
        self.backwards += len(gradient)


def asked(specs: list[str], network: nn.Module | None = None, **options: object) -> tuple[list[Attribution], Counting]:
    counted = Counting(network if network is not None else seeded(Plain)())
    pixels = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))
    found = explain(counted, pixels, specs, **options)  # type: ignore[arg-type]
    assert isinstance(found, list)
    return found, counted


@pytest.mark.parametrize("order", [1, -1])
def test_ten_class_activation_maps_cost_one_pass_each_way(order: int) -> None:
    specs = TEN[::order]
    found, counted = asked(specs)
    assert (counted.forwards, counted.backwards) == (1, 1)
    told = [one.passes for one in found]
    assert told.count(Count(1, 1)) == 1
    assert told.count(Count(1, 0)) == 9
    for spec, one in zip(specs, found, strict=True):
        alone = asked([spec])[0][0]
        assert (one.map == alone.map).all(), spec
        assert one.layer == alone.layer


def test_a_transformer_is_asked_once_too() -> None:
    specs = ["grad-cam", "layer-cam", "xgrad-cam", "grad-cam-element-wise"]
    found, counted = asked(specs, seeded(lambda: Tokens(1))())
    assert (counted.forwards, counted.backwards) == (1, 1)
    for spec, one in zip(specs, found, strict=True):
        assert (one.map == asked([spec], seeded(lambda: Tokens(1))())[0][0].map).all()


def test_every_target_and_every_layer_is_asked_for_itself() -> None:
    specs = ["grad-cam", "layer-cam", "grad-cam(layer=network.conv1)", "layer-cam(layer=network.conv1)"]
    found, counted = asked([*specs, "finer-cam", "finer-cam(of=layer-cam)", "finer-cam(strength=0.2)"], target="top2")
    assert counted.forwards == 1
    assert counted.backwards == 2 * (2 + 2)
    assert not (found[0].map == found[7].map).all()
    assert not (found[4].map == found[6].map).all()


def test_a_name_and_the_choice_of_the_same_layer_share_their_gradient() -> None:
    chosen = asked(["grad-cam"])[0][0].layer
    _, counted = asked(["grad-cam", f"layer-cam(layer={chosen})", f"eigen-cam(layer={chosen})"])
    assert counted.backwards == 1


def test_the_gradient_at_the_pixels_is_taken_once_and_each_result_has_its_own() -> None:
    found, counted = asked(["gradient", "input-times-gradient", "gradient(channels=largest)"])
    assert (counted.forwards, counted.backwards) == (1, 1)
    assert [one.passes.backward for one in found] == [1, 0, 0]
    held = [one.channels for one in found if one.channels is not None]
    before = held[-1].copy()
    held[0][:] = 7.0
    assert (held[-1] == before).all()


def test_targets_are_alike_by_value_kind_and_all_they_hold() -> None:
    @dataclass(frozen=True, eq=False)
    class Scaled(Target):
        factor: float = 1.0

    weights = torch.tensor([[0.0, 0.5, 0.5]])
    assert alike(Target.of(1, 2), Target.of([1, 1]))
    assert alike(None, None)
    for one, other in (
        (Target.of(1), Target.of(2)),
        (Target.of(1), Target.of(1, 2)),
        (Target.of(1), Target.of(1, against=0)),
        (Target.of(1), None),
        (Target.of(0), AgainstMixture(torch.tensor([0]), weights=weights)),
        (AgainstMixture(torch.tensor([0]), weights=weights), AgainstMixture(torch.tensor([0]), weights=2 * weights)),
        (Target.of(1), Scaled(torch.tensor([1]))),
        (Scaled(torch.tensor([1])), Scaled(torch.tensor([1]), factor=2.0)),
    ):
        assert not alike(one, other)
    known: Known[str] = Known()
    known.keep("layer4", Target.of(3), "three")
    assert known.find("layer4", Target.of(3)) == "three"
    assert known.find("layer3", Target.of(3)) is None
    assert known.find("layer4", Target.of(4)) is None
