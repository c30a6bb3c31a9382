"""Where a network fails on what it is given, one line says why, and what most often helps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sightline
from sightline.errors import ModelError
from small import picture


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.age = nn.Conv2d(3, 4, 3), nn.Linear(1, 4)

    def forward(self, picture: torch.Tensor, age: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.body(picture).mean((2, 3)) + self.age(age + place)
        return scores


def of(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def sized() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Two(), r"'age' and 'place'; give it its further inputs: sightline.wrap\(network, held=\{'age': …\}\)"),
        (of(1), r"but got 3 channels instead; it takes pictures in grey: declare preparation='grey, …'"),
        (of(4), r"; pictures have 3 channels: give what has 4 as prepared input"),
        (sized(), r"fails on pixels of 1×3×16×16: .*; no preparation is declared: .*preparation='squash 224'"),
    ],
)
def test_the_way_out_is_named(network: nn.Module, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        sightline.explain(network, picture(16, 16)[0], "gradient", target=1)
    assert "\n" not in str(caught.value)


class Raises(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.body, self.error = of(3), error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("scores"), "KeyError: 'scores'"),
        (AssertionError(), "AssertionError"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (RuntimeError("in the TorchScript interpreter.\nTraceback\nRuntimeError: the size is 3"), "the size is 3"),
    ],
)
def test_whatever_its_code_raises_is_the_networks_failure(error: Exception, words: str) -> None:
    with pytest.raises(ModelError, match=f"fails on pixels of 1×3×16×16: .*{words}") as caught:
        sightline.explain(Raises(error), picture(16, 16)[0], "gradient", target=1)
    assert "\n" not in str(caught.value)


def test_the_ways_out_lead_out() -> None:
    image = (picture(16, 16)[0].permute(1, 2, 0) * 255).byte().numpy()
    held = {"age": torch.tensor([[0.2]]), "place": torch.tensor([[0.1]])}
    assert sightline.explain(sightline.wrap(Two(), held=held), image, "gradient").map.any()
    assert sightline.explain(sightline.wrap(of(1), preparation="grey"), image, "gradient").map.any()
    assert sightline.explain(of(4), torch.rand(4, 16, 16), "gradient").map.any()
    assert sightline.explain(sightline.wrap(sized(), preparation="squash 8"), image, "gradient").map.any()


def test_a_declared_preparation_is_not_doubted() -> None:
    with pytest.raises(ModelError) as caught:
        sightline.explain(sightline.wrap(sized(), preparation="squash 9"), picture(16, 16)[0], "gradient", target=1)
    assert "declared" not in str(caught.value)


def test_a_class_is_no_network() -> None:
    with pytest.raises(ModelError, match="got the class Two: make one of it"):
        sightline.wrap(Two)  # type: ignore[arg-type]
