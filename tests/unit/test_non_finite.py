"""Where NaN or infinity comes, the error says at which picture of a way, at which layer, and what to try."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sightline
from sightline.errors import NonFiniteError
from sightline.models.classifier import wrap
from small import seeded

PIXELS = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.1


class Spread(nn.Module):
    """Values by their deviation over the channels; of one value everywhere the gradient is 0 · ∞."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / (x.var(1, keepdim=True).sqrt() + 1e-3)


class SpreadNorm(Spread):
    pass


def rough(divide: type[nn.Module] = Spread) -> nn.Module:
    """A network whose scores are finite everywhere, and whose gradient is NaN on a black picture."""
    return seeded(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), divide(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        )
    )


def said(network: nn.Module, method: str, pixels: torch.Tensor = PIXELS, **options: str) -> str:
    with pytest.raises(NonFiniteError) as caught:
        sightline.explain(network, pixels, method, target=1, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("integrated-gradients(steps=5, rule=trapezoid)", "point 1 of 5 on the way"),
        ("idgi(of=integrated-gradients(steps=5))", "point 1 of "),
        ("guided-ig(steps=4)", "step 1 of 4"),
        ("idgi(of=guided-ig(steps=4))", "step 1 of 4"),
        ("smooth-grad(of=guided-ig(steps=4), samples=2)", "step 1 of 4"),
    ],
)
@pytest.mark.parametrize("precision", ["float32", "fast"])
def test_a_way_that_begins_where_there_is_no_gradient(method: str, place: str, precision: str) -> None:
    words = said(rough(), method, precision=precision)
    assert "a gradient that is NaN or infinite" in words
    assert "finite at layer '1' (Spread) and no longer at layer '0' (Conv2d)" in words
    assert place in words
    assert words.endswith("it began at baseline=black: try baseline=blur")
    found = sightline.explain(rough(), PIXELS, method.replace("steps=", "baseline=blur, steps="), target=1)
    assert isinstance(found, sightline.Attribution)  # what the words say helps


def test_the_point_is_the_one_that_it_is() -> None:
    """A picture in the middle of whose way, at 1/2 for black, all channels of the first layer are alike."""

    class Middle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.divide = Spread()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.divide(x - PIXELS / 2).mean((2, 3))
            return scores

    words = said(Middle(), "integrated-gradients(steps=5, rule=trapezoid)")
    assert "point 3 of 5 on the way" in words
    assert "it is lost at the pixels" in words or "no longer at the pixels" in words


@pytest.mark.parametrize("method", ["gradient", "full-grad", "input-times-gradient"])
def test_a_picture_without_a_gradient(method: str) -> None:
    words = said(rough(SpreadNorm), method, torch.zeros(3, 8, 8))
    assert "finite at layer '1' (SpreadNorm) and no longer at layer '0' (Conv2d), a normalisation" in words
    assert words.endswith("use a method that needs no gradient, such as occlusion")


def test_weights_that_are_not_finite_are_named() -> None:
    network = rough()
    with torch.no_grad():
        network[5].weight[0, 0] = torch.nan
    for method in ("gradient", "grad-cam", "occlusion(window=4, stride=4)"):
        assert "so are its weights, '5.weight' first" in said(network, method)


def test_half_numbers_that_end_are_told_with_the_layer() -> None:
    network = rough()
    with torch.no_grad():
        network[0].weight.fill_(3e4)
    words = said(network.half(), "gradient", PIXELS + 2)
    assert "first in layer '0' (Conv2d), whose float16 numbers end at 6.55e+04: give the network in float32" in words


def test_of_a_function_only_the_fact_is_told() -> None:
    words = said(wrap(lambda pixels: pixels.mean((2, 3)) / 0), "occlusion(window=4, stride=4)")
    assert words.endswith("the network gave a score that is NaN or infinite")


def test_a_way_that_explodes_is_told_to_begin_elsewhere() -> None:
    """A deviation of zero plus ε: no NaN, but gradients that add up to nothing sensible."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.GroupNorm(1, 4, eps=1e-12), nn.Flatten(), nn.Linear(144, 3)
    )
    found = sightline.explain(seeded(network), PIXELS, "integrated-gradients(steps=4, rule=trapezoid)", target=1)
    assert any(
        "more steps or samples, or rule=adaptive, or another baseline than black" in warning
        for warning in found.warnings
    )
    fewer = sightline.explain(seeded(network), PIXELS, "integrated-gradients(steps=4, baseline=blur)", target=1)
    assert not any("another baseline" in warning for warning in fewer.warnings)
