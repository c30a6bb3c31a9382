"""CLIP and its like as classifiers whose classes are texts: the scores are the network's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import sightline
from sightline.errors import ModelError
from sightline.models.catalogue import load
from sightline.models.sources.zero_shot import sentence

transformers = pytest.importorskip("transformers")
LABELS = ["cat", "owl", "a drawing of two dogs"]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP with random weights in the layout of the hub; its tokenizer knows letters alone."""
    place = tmp_path_factory.mktemp("clip")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (place / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(str(place / "vocab.json"), str(place / "merges.txt")).save_pretrained(place)
    tiny = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    text = {**tiny, "vocab_size": len(words), "eos_token_id": len(words) - 1, "bos_token_id": len(words) - 2}
    config = transformers.CLIPConfig(
        text_config={**text, "max_position_embeddings": 40, "initializer_range": 0.5},
        vision_config={**tiny, "image_size": 32, "patch_size": 8, "initializer_range": 0.5},
        projection_dim=8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.CLIPModel(config).save_pretrained(place)
    size = {"crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 32}}
    transformers.CLIPImageProcessor(**size).save_pretrained(place)
    return place


def test_the_scores_are_those_of_the_network_itself(clip_folder: Path) -> None:
    classifier = load(f"hf-clip/{clip_folder}", labels=LABELS)
    assert classifier.labels == tuple(LABELS)
    assert classifier.head == "softmax"
    assert classifier.preparation.crop == (32, 32)
    whole = transformers.CLIPModel.from_pretrained(clip_folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip_folder)
    tokens = tokenizer(["a photo of a cat", "a photo of an owl", "a drawing of two dogs"], padding=True,
                       return_tensors="pt")  # fmt: skip
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own = whole(pixel_values=pixels, **tokens).logits_per_image
        ours = classifier.raw_scores(pixels)
    assert torch.allclose(ours, own, atol=1e-5)
    assert float(own.std(0).max()) > 1e-3  # pictures are told apart


@pytest.mark.parametrize(
    "method", ["gradient", "grad-cam", "occlusion(window=8, stride=8)", "attention-rollout", "attention-relevance"]
)
def test_methods_explain_a_text(clip_folder: Path, method: str) -> None:
    classifier = load(f"hf-clip/{clip_folder}", labels=LABELS)
    pixels = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = sightline.explain(classifier, pixels, method, target="owl")
    assert found.target.label == "owl"
    assert np.abs(found.map).max() > 0


def test_texts_are_needed(clip_folder: Path) -> None:
    with pytest.raises(ModelError, match="at least two texts as labels"):
        load(f"hf-clip/{clip_folder}")
    with pytest.raises(ModelError, match="as in 'hf-clip/"):
        load("hf-clip")


def test_another_network_is_refused(tmp_path: Path) -> None:
    config = transformers.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    transformers.ViTModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no network of pictures and texts: it is a ViTModel"):
        load(f"hf-clip/{tmp_path}", labels=LABELS)


def test_labels_become_sentences() -> None:
    assert sentence("golden_retriever") == "a photo of a golden retriever"
    assert sentence("Owl") == "a photo of an Owl"
    assert sentence("two dogs in the snow") == "two dogs in the snow"
