"""Concepts of photographs with real weights: a dog above a cat, and a set of elephants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sightline

pytestmark = pytest.mark.real
pytest.importorskip("torchvision")

DOGS = {"boxer", "bull mastiff", "Saint Bernard", "Great Dane", "bulldog"}
CATS = {"tiger cat", "tabby", "Egyptian cat"}


def test_a_dog_and_a_cat_are_told_apart_and_named(data_dir: Path, expanded_weights: Path) -> None:
    model = sightline.load("torchvision/resnet50", weights=expanded_weights / "resnet50.safetensors")
    result = sightline.explain(model, data_dir / "photos" / "classic" / "pytorch-grad-cam-both.png", "dff")
    strengths, effects = result.arrays["concepts"], result.arrays["effects"]
    named = [result.names[int(best[0])] for best in result.arrays["classes"]]
    rows = np.arange(strengths.shape[1])
    height = (strengths.sum(2) * rows).sum(1) / strengths.sum((1, 2))
    dog = [place for place, name in enumerate(named) if name in DOGS]
    cat = [place for place, name in enumerate(named) if name in CATS]
    assert dog
    assert cat
    assert max(height[dog]) < min(height[cat])
    assert min(effects[dog]) > max(effects[cat])
    assert np.unravel_index(result.map.argmax(), result.map.shape)[0] < 0.6 * result.map.shape[0]


def test_craft_puts_the_elephant_first(data_dir: Path, expanded_weights: Path) -> None:
    model = sightline.load("torchvision/resnet18", weights=expanded_weights / "resnet18.safetensors")
    names = ("captum-elephant.jpg", "OmniXAI-elephant.jpg", "transformer-explainability-el2.png")
    pictures = [data_dir / "photos" / "classic" / name for name in names]
    found = sightline.concepts(model, pictures, "craft(concepts=6, samples=16)")
    assert "elephant" in found.label
    first = found.ranked[0]
    called = [found.names[int(index)] for index in found.classes[first]]
    assert any("elephant" in name or name == "tusker" for name in called)
    assert found.importances[first] > 0.3
