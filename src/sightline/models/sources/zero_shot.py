"""Zero-shot classifiers of Hugging Face (CLIP, SigLIP and their like): the classes are texts that the user gives.

The texts are read once; the network that is explained is the picture's half alone, and its score for a class is the
network's own: scale · cos(picture, text) (+ shift). A label that is no sentence is put into one, as CLIP's authors do
(Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021): `cat` is asked as
`a photo of a cat`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sightline.errors import MissingExtraError, ModelError
from sightline.models.classifier import Classifier
from sightline.models.heads import Head
from sightline.models.sources.base import Asked, classifier_from, import_extra, installed
from sightline.models.sources.hub import hub
from sightline.models.sources.hugging_face import _from, _newer, _place, _processor, _without_bars
from sightline.models.sources.torchvision import import_torchvision
from sightline.models.weights import load_into, read_weights
from sightline.types import Pixels, Scores

PROMPT = "a photo of a{}"
_SENTENCE = 3  # words from which a label is a text of its own


class ZeroShot(nn.Module):
    """The picture's half of a network of pictures and texts, with the texts' embeddings held.

    Attributes:
        texts: `k K`, of length one.
        scale, shift: of the cosines.
    """

    texts: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: nn.Module, texts: torch.Tensor) -> None:
        super().__init__()
        self.vision_model: Any = network.vision_model
        self.visual_projection: Any = getattr(network, "visual_projection", None)
        shift = getattr(network, "logit_bias", None)
        self.register_buffer("texts", functional.normalize(texts.detach(), dim=-1))
        self.register_buffer("scale", _value(network.logit_scale).exp())
        self.register_buffer("shift", torch.zeros(()) if shift is None else _value(shift))

    def forward(self, pixels: Pixels) -> Scores:
        found = self.vision_model(pixel_values=pixels).pooler_output
        if self.visual_projection is not None:
            found = self.visual_projection(found)
        return functional.normalize(found, dim=-1) @ self.texts.T * self.scale + self.shift


def load(asked: Asked) -> Classifier:
    """The network of this hub id or folder, with the user's texts as its classes.

    Raises:
        MissingExtraError: transformers is not installed.
        ModelError: no texts, no such folder, nothing that can be downloaded, or no network of pictures and texts.
    """
    if not installed("transformers"):
        raise MissingExtraError("transformers", "hf", f"the network {asked.name}")
    if not asked.labels or len(asked.labels) < 2:
        raise ModelError(f"{asked.name} has no classes of its own: give at least two texts as labels (--labels FILE)")
    place = _place(asked.rest)
    if installed("torchvision"):
        import_torchvision()  # transformers imports it where it finds it, and fails if that fails
    transformers = import_extra("transformers", "hf", f"the network {asked.name}")
    with hub(needed=not Path(place).is_dir()), _without_bars(transformers):
        dtype = {"dtype" if _newer(transformers) else "torch_dtype": torch.float32}
        network = _from(transformers.AutoModel, place, **dtype)
        if not all(hasattr(network, part) for part in ("vision_model", "text_model", "logit_scale")):
            raise ModelError(f"{asked.name} is no network of pictures and texts: it is a {type(network).__name__}")
        tokenizer = _from(transformers.AutoTokenizer, place)
        processor = _processor(transformers, place) if asked.preparation is None else None
    if asked.weights is not None:
        load_into(network, read_weights(asked.weights), str(asked.weights), asked.name)
    network.eval()
    sigmoid = getattr(network, "logit_bias", None) is not None  # SigLIP was trained on each pair by itself
    head: Head = "sigmoid" if sigmoid else "softmax"
    texts = text_embeddings(network, tokenizer, asked.labels)
    return classifier_from(asked, ZeroShot(network, texts).eval(), preparation=processor, head=head)


def text_embeddings(network: Any, tokenizer: Any, labels: Sequence[str]) -> torch.Tensor:
    """`k K`, one a label."""
    sentences = [sentence(label) for label in labels]
    # SigLIP was trained on texts filled up to one length.
    options: dict[str, Any] = {"padding": "max_length" if hasattr(network, "logit_bias") else True, "truncation": True}
    with torch.no_grad():
        found = network.get_text_features(**tokenizer(sentences, return_tensors="pt", **options))
    return found if isinstance(found, torch.Tensor) else found.pooler_output


def sentence(label: str) -> str:
    """What is asked for a label: the label itself where it is a text of several words, else a text with it."""
    plain = label.strip().replace("_", " ")
    if len(plain.split()) > _SENTENCE:
        return plain
    return PROMPT.format(("n " if plain[:1].lower() in "aeiou" else " ") + plain)


def _value(parameter: Any) -> torch.Tensor:
    return torch.as_tensor(parameter).detach().clone().reshape(())
