"""Adebayo et al., 2018, on ResNet-18 and two photographs: what changes with the parameters, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

import sightline
from sightline.evaluation.result import Judgement

pytestmark = pytest.mark.real


def test_guided_backpropagation_stays_where_gradient_and_grad_cam_change(
    expanded_weights: Path, photographs: list[Path]
) -> None:
    model = sightline.load("torchvision/resnet18", weights=expanded_weights / "resnet18.safetensors")
    found: dict[str, list[Judgement]] = {}
    for photograph in photographs[6:8]:
        for method in ("gradient", "guided-backpropagation", "grad-cam"):
            given = sightline.explain(model, photograph, method)
            metrics = ["parameter-randomisation(stages=5)", "random-logit(similarity=spearman)"]
            found.setdefault(method, []).extend(sightline.evaluate(model, given, metrics))  # type: ignore[arg-type]
    for kept, *others in ([one.value for one in judged] for judged in found.values()):
        assert -1 <= min(kept, *others) <= max(kept, *others) <= 1
    randomised = {method: [one.value for one in judged[::2]] for method, judged in found.items()}
    assert min(randomised["guided-backpropagation"]) > 0.5
    assert max(map(abs, randomised["gradient"])) < 0.2
    assert max(randomised["grad-cam"]) < 0.5
    other_class = {method: [one.value for one in judged[1::2]] for method, judged in found.items()}
    assert min(other_class["guided-backpropagation"]) > 0.8 > max(other_class["gradient"])
