"""A real transformer on a photograph of a dog beside a cat: what speaks for which is on the right one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sightline.attribution.result import Attribution
from sightline.models.classifier import Classifier, wrap
from sightline.runs.explain import explain

pytestmark = pytest.mark.real
DOG, CAT = 207, 282


@pytest.fixture(scope="module")
def vit_tiny(data_dir: Path) -> Classifier:
    timm = pytest.importorskip("timm")
    safetensors = pytest.importorskip("safetensors.torch")
    network = timm.create_model("vit_tiny_patch16_224")
    weights = safetensors.load_file(data_dir / "weights" / "vit_tiny_patch16_224.safetensors")
    network.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return wrap(network, preparation=timm.data.resolve_model_data_config(network))


def halves(classifier: Classifier, data_dir: Path, method: str, target: int) -> tuple[float, float]:
    """How much lies on the left half of the picture, where the dog is, and on the right half, where the cat is."""
    photograph = data_dir / "photos" / "classic" / "transformer-explainability-dogcat2.png"
    found = explain(classifier, photograph, method, target=target)
    assert isinstance(found, Attribution)
    left, right = torch.from_numpy(found.map).chunk(2, dim=1)
    return float(left.sum()), float(right.sum())


@pytest.mark.parametrize("method", ["attention-relevance", "legrad", "attn-lrp", "attn-lrp(through=values)"])
def test_dog_and_cat_are_told_apart(vit_tiny: Classifier, data_dir: Path, method: str) -> None:
    dog, elsewhere = halves(vit_tiny, data_dir, method, DOG)
    assert dog > elsewhere
    elsewhere, cat = halves(vit_tiny, data_dir, method, CAT)
    assert cat > elsewhere


def test_rollout_looks_at_both_whatever_is_asked(vit_tiny: Classifier, data_dir: Path) -> None:
    assert halves(vit_tiny, data_dir, "attention-rollout", DOG) == halves(vit_tiny, data_dir, "attention-rollout", CAT)
