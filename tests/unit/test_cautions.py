"""What is said of one picture's map: not what is true of its batch mates, and not too little."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from sightline.attribution.base import Maps, Method, Needs, Traits, merged, where
from sightline.attribution.result import Attribution
from sightline.attribution.table import METHODS
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from sightline.runs.explain import explain
from sightline.testing.case import Case
from sightline.testing.map_checks import n2_scale
from sightline.testing.networks import networks
from sightline.types import Pixels
from small import picture, pooled, smooth


def both(network: nn.Module, pixels: torch.Tensor, method: str) -> list[Attribution]:
    found = explain(network, pixels, method, target=1)
    assert isinstance(found, list)
    return found


class Signed(nn.Sequential):
    """A layer whose activations are negative only where a picture is dark."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
        with torch.no_grad():
            self[0].weight.fill_(1.0)
            self[0].bias.fill_(-1.0)


@pytest.mark.parametrize(
    "method",
    [
        "grad-cam-plus-plus",
        "xgrad-cam",
        "eigen-cam",
        "kpca-cam",
        "fem",
        "smooth-grad(of=xgrad-cam, samples=2, spread=0)",
    ],
)
def test_negative_activations_are_told_of_the_picture_that_has_them(method: str) -> None:
    pixels = torch.stack([torch.full((3, 4, 4), 0.9), torch.full((3, 4, 4), 0.1)])
    bright, dark = (" ".join(one.warnings) for one in both(Signed().eval(), pixels, method.replace(")", ", seed=1)")))
    assert "of both signs" not in bright
    assert "of both signs" in dark


def test_noise_that_changes_nothing_is_told() -> None:
    pixels, linear = picture(16, 24, pictures=2), pooled()
    curved = nn.Sequential(*linear[:2], nn.Conv2d(6, 6, 3), nn.Tanh(), *linear[2:])
    for network, idle in ((linear, True), (curved, False)):
        smoothed = both(network, pixels, "smooth-grad-cam-plus-plus(samples=2, layer='1')")
        for one, plain in zip(smoothed, both(network, pixels, "grad-cam-plus-plus(layer='1')"), strict=True):
            assert ("noise changes nothing" in " ".join(one.warnings)) == idle
            assert np.allclose(one.map, plain.map, rtol=1e-4) == idle


def test_what_is_missing_from_the_score_is_told_of_the_picture_where_it_is() -> None:
    class Rooted(nn.Module):
        """Linear up to 1, a root above: the biases explain the score only of a dark picture."""

        def __init__(self) -> None:
            super().__init__()
            self.net = pooled()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = self.net(x)
            bright = x.flatten(1).amax(1, keepdim=True) > 0.5
            return torch.where(bright, scores**2 + scores, scores)

    pixels = picture(8, 8, 2)
    pixels[1] *= 0.4
    bright, dark = both(Rooted().eval(), pixels, "full-grad")
    assert any("missing_from_score" in word for word in bright.warnings)
    assert not any("missing_from_score" in word for word in dark.warnings)


def test_words_are_merged_picture_by_picture() -> None:
    one, other = where(torch.tensor([True, False]), "a"), where(torch.tensor([True, True]), "b")
    assert merged([one, (), other, one]) == (("a", "b"), ("b",))
    assert merged([(), ()]) == ()


def test_a_map_of_few_samples_says_that_it_is_not_sure_and_what_to_raise() -> None:
    network, x = smooth(), picture(8, 8)
    with torch.no_grad():
        network[-1].weight.mul_(30)
    few, many = (
        explain(network, x, f"rise(cells=3, samples={samples}, normalise=centred)", target=1) for samples in (20, 2000)
    )
    assert isinstance(few, Attribution)
    assert isinstance(many, Attribution)
    (said,) = [word for word in few.warnings if "not sure" in word]
    assert f"{few.numbers['relative_error']:.0%} of their range" in said
    assert "raise samples" in said
    assert not any("not sure" in word for word in many.warnings)


@dataclass(frozen=True, kw_only=True)
class ClaimsToBeLinear(Method):
    """Occlusion of a probability that says it is linear in the score."""

    traits = Traits(family="perturbation", needs=Needs.SCORES, cost="", paper="", linear=True)

    def attribute(self, passes: Passes, pixels: Pixels, target: Target) -> Maps:
        return METHODS.make("occlusion(window=6, stride=6)").attribute(passes, pixels, target)


def test_linear_is_claimed_where_it_holds_and_a_false_claim_is_caught() -> None:
    specimen = networks()[0]
    with pytest.raises(AssertionError, match="scores ×"):
        n2_scale(Case(ClaimsToBeLinear(), specimen))
    for claims, text in (
        (False, "occlusion(window=6, stride=6)"),
        (True, "occlusion(window=6, stride=6, score=logit)"),
        (True, "feature-ablation(regions=grid(rows=2, columns=2))"),
        (False, "feature-ablation(regions=grid(rows=2, columns=2), score=probability)"),
        (True, "kernel-shap(regions=grid(rows=2, columns=2), samples=20)"),
        (False, "kernel-shap(regions=grid(rows=2, columns=2), samples=20, score=probability)"),
        (True, "partition-shap(evaluations=20)"),
        (False, "smooth-grad(of=occlusion, samples=2)"),
    ):
        method = METHODS.make(text)
        assert method.traits.linear == claims, text
        if claims:
            n2_scale(Case(method, specimen))


def test_traits_of_a_value_can_be_changed_only_by_its_fields() -> None:
    method = METHODS.make("shapley-sampling")
    assert method.traits == METHODS.make("shapley-sampling(samples=3)").traits
    assert replace(method, score="probability").traits == replace(method.traits, linear=False)
